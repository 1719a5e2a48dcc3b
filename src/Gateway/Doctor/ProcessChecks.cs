using System.Globalization;
using Gateway.Cli;
using Gateway.Configuration;

namespace Gateway.Doctor;

/// <summary>What the daemon, or one that would start now, gets of the host: memory, file descriptors, processor and disk without a queue.</summary>
/// <param name="host">Where to look.</param>
/// <param name="configuration">What it is to need; null: the defaults.</param>
/// <param name="processId">The daemon; null if none runs.</param>
internal sealed class ProcessChecks(Host host, GatewayConfiguration? configuration, int? processId) : ICheckFamily
{
    private const long MemoryWantedBytes = 256L << 20;
    private const long DescriptorsWanted = 1024;
    private const double PressureHigh = 25;

    public string Name => "process";

    public Task<IReadOnlyList<Finding>> RunAsync(CancellationToken cancellationToken)
    {
        var found = new Findings(Name);
        Memory(found);
        Descriptors(found);
        foreach (var (resource, remedy) in ((string, string)[])
        [
            ("cpu", "See what else runs ('top'), or give the host more processors."), ("memory", "See what takes it ('top'), or make volumes.cacheBytes and readAheadBytes less."), ("io", "See which disk is busy ('iostat -x 1'); give the journal one of its own."),
        ]) Pressure(found, resource, remedy);
        return Task.FromResult(found.All);
    }

    private void Memory(Findings found)
    {
        const string Check = "memory";
        var file = host.Proc("meminfo");
        if (host.ReadField(file, "MemAvailable:") is not { } available || host.ReadField(file, "MemTotal:") is not { } total)
        {
            found.NotLooked(Check, $"'{file}' cannot be read", null);
            return;
        }

        var (freeBytes, totalBytes) = (available << 10, total << 10);
        var volumes = Volumes();
        var each = (configuration ?? new GatewayConfiguration()).Volumes;
        var caches = Math.Max(1, volumes.Count) * (each.CacheBytes + each.ReadAheadBytes);
        var text = $"{ByteSize.Format(freeBytes)} of {ByteSize.Format(totalBytes)} available";
        if (freeBytes < MemoryWantedBytes) found.Warning(Check, text, "Give the host more memory, or make volumes.cacheBytes and readAheadBytes less.");
        else if (caches > totalBytes / 2) found.Warning(Check, $"{text}; the caches of {Math.Max(1, volumes.Count)} volumes may take {ByteSize.Format(caches)}", "Make volumes.cacheBytes and readAheadBytes less, or give the host more memory.");
        else found.Ok(Check, text);
        if (processId is { } id && host.ReadField(host.Proc(Invariant($"{id}/status")), "VmSwap:") is > 0 and { } swapped)
            found.Warning("swap", $"{ByteSize.Format(swapped << 10)} of the gateway are swapped out: commands wait for them", "Give the host more memory, or set MemorySwapMax=0 in the service.");
    }

    private HashSet<string> Volumes() => configuration is null ? [] : [.. configuration.Targets.Volumes, .. configuration.Volumes.Each.Keys];

    private void Descriptors(Findings found)
    {
        const string Check = "file descriptors";
        var process = processId is { } id ? Invariant($"{id}") : "self";
        if (host.ReadField(host.Proc($"{process}/limits"), "Max open files") is not { } limit)
        {
            found.NotLooked(Check, $"'{host.Proc($"{process}/limits")}' cannot be read", null);
            return;
        }

        var used = host.List(host.Proc($"{process}/fd")).Count();
        var text = processId is null ? $"{limit} at most for a process that is started from here" : used > 0 ? $"{used} of {limit} in use" : $"{limit} at most";
        if (limit < DescriptorsWanted || used > limit * 0.8) found.Warning(Check, text, "LimitNOFILE=65536 in the service's unit; or 'ulimit -n 65536' before 'tcmu-gateway serve'.");
        else found.Ok(Check, text);
    }

    /// <summary>Pressure stall information (Documentation/accounting/psi.rst): the share of the last minute in which something waited.</summary>
    private void Pressure(Findings found, string resource, string remedy)
    {
        var file = host.Proc($"pressure/{resource}");
        if (host.Read(file)?.Split('\n').FirstOrDefault(l => l.StartsWith("some ", StringComparison.Ordinal)) is not { } line) return; // A kernel without it.
        var average = line.Split(' ').FirstOrDefault(w => w.StartsWith("avg60=", StringComparison.Ordinal))?["avg60=".Length..];
        if (!double.TryParse(average, NumberStyles.Float, CultureInfo.InvariantCulture, out var share)) return;
        var text = Invariant($"{share:0.#} % of the last minute something waited for it");
        if (share > PressureHigh) found.Warning($"{resource} pressure", text, remedy);
        else found.Ok($"{resource} pressure", text);
    }

    private static string Invariant(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
