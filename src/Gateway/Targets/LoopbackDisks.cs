using Gateway.Serving;

namespace Gateway.Targets;

/// <summary>The block devices that a loopback target has become on this host.</summary>
internal static class LoopbackDisks
{
    /// <summary>Their names in /dev, as far as the kernel has them by now.</summary>
    public static IReadOnlyList<string> Of(KernelRoots roots, string wwn)
    {
        try
        {
            // HOST:CHANNEL:TARGET; the kernel puts the LUN after it.
            var address = File.ReadAllText(Path.Combine(roots.Configfs, "target/loopback", wwn, "tpgt_1/address")).Trim();
            return [.. Directory.EnumerateDirectories(Path.Combine(roots.Sysfs, "class/scsi_device"), address + ":*")
                .Select(device => Path.Combine(device, "device/block")).Where(Directory.Exists)
                .SelectMany(Directory.EnumerateDirectories).Select(block => $"/dev/{Path.GetFileName(block)}").Order(StringComparer.Ordinal)];
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return [];
        }
    }
}
