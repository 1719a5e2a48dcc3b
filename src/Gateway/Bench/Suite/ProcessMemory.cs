using System.Globalization;

namespace Gateway.Bench.Suite;

/// <summary>What the kernel says of this process's memory.</summary>
internal static class ProcessMemory
{
    /// <summary>Resident now (VmRSS), in MiB.</summary>
    public static double ResidentMiB() => Read("VmRSS:");

    /// <summary>The most that was resident at a time (VmHWM), in MiB.</summary>
    public static double PeakMiB() => Read("VmHWM:");

    private static double Read(string field)
    {
        foreach (var line in File.ReadLines("/proc/self/status"))
            if (line.StartsWith(field, StringComparison.Ordinal)) return double.Parse(line[field.Length..].Replace("kB", "", StringComparison.Ordinal), CultureInfo.InvariantCulture) / 1024;
        return double.NaN;
    }
}
