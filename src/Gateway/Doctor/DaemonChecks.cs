using System.Globalization;
using Gateway.Cli;
using Gateway.Control.V1;
using Gateway.Serving;
using Gateway.Tcmu;

namespace Gateway.Doctor;

/// <summary>What the running daemon says of itself.</summary>
/// <param name="Before">Its status.</param>
/// <param name="After">Its status a little later; null if only one was asked for.</param>
/// <param name="TargetFaults">What is not exported as declared.</param>
/// <param name="Events">The last things that it logged.</param>
internal sealed record DaemonView(Status Before, Status? After, IReadOnlyList<string> TargetFaults, IReadOnlyList<Event> Events);

/// <summary>The daemon: whether it runs, what it does not serve and why, stores that it has given up for now, commands that wait, journals that fill, latencies.</summary>
/// <param name="view">Its word; null if it cannot be had.</param>
/// <param name="whyNot">Why not.</param>
/// <param name="mayAsk">False if it may run, and only may not be asked.</param>
/// <param name="isNeeded">Whether something here waits for a daemon: devices in the kernel.</param>
/// <param name="highWaterPercent">volumes.highWaterPercent.</param>
internal sealed class DaemonChecks(DaemonView? view, string? whyNot, bool mayAsk, bool isNeeded, int highWaterPercent) : ICheckFamily
{
    private static readonly TimeSpan EventsOf = TimeSpan.FromHours(1);
    private static readonly TimeSpan SlowP99 = TimeSpan.FromSeconds(1);
    private const double JournalFullPercent = 95;
    private const double RetriesHigh = 0.02;

    public string Name => "daemon";

    public Task<IReadOnlyList<Finding>> RunAsync(CancellationToken cancellationToken)
    {
        var found = new Findings(Name);
        if (view is null) NotThere(found);
        else Look(found, view);
        return Task.FromResult(found.All);
    }

    private void NotThere(Findings found)
    {
        const string Check = "gateway";
        const string Start = "systemctl start tcmu-gateway, or 'tcmu-gateway serve' in a terminal of its own.";
        if (!mayAsk) found.NotLooked(Check, whyNot!, "Run this as root, or as a member of control.group.");
        else if (isNeeded) found.Fault(Check, "none answers, and the kernel has devices of ours: their initiators hang", Start);
        else found.Note(Check, $"none runs here ({whyNot})", Start);
    }

    private void Look(Findings found, DaemonView seen)
    {
        var status = seen.After ?? seen.Before;
        if (status.Version != ThisProgram.Version) found.Note("version", $"the gateway that runs is {status.Version}, this program {ThisProgram.Version}", "Restart the gateway.");
        else found.Ok("gateway", $"runs (process {status.ProcessId.ToString(CultureInfo.InvariantCulture)}), up {StatusText.Duration(status.At.ToDateTime() - status.StartedAt.ToDateTime())}");
        foreach (var device in status.Devices)
        {
            var count = found.All.Count;
            State(found, device);
            Waiting(found, seen, device);
            Journal(found, device);
            Latencies(found, device);
            if (found.All.Count == count) found.Ok(device.Volume, $"serving, p99 of reads {Latency(device.Reads)}, writes {Latency(device.Writes)}, flushes {Latency(device.Flushes)}");
        }

        foreach (var store in status.Stores) Store(found, store);
        foreach (var fault in seen.TargetFaults) found.Fault("exports", fault, "It is tried again by itself, once a half minute; 'tcmu-gateway target list' shows whether it is still so.");
        Logged(found, seen);
    }

    private static void State(Findings found, Device device)
    {
        var check = $"{device.Volume} state";
        if (device.State == Device.Types.State.Standby)
            found.Warning(check, $"standby: {device.Reason}", "Initiators take the path to the gateway that serves it. If that host is gone for good: 'tcmu-gateway volume takeover' shortens the wait.");
        else if (device.State != Device.Types.State.Serving)
            found.Fault(check, $"not open: {device.Reason}", $"The reason says what to do; 'tcmu-gateway volume info {device.Volume}' shows who owns it, and 'tcmu-gateway events' what was tried.");
        var errors = (device.Reads?.Errors ?? 0) + (device.Writes?.Errors ?? 0) + (device.Flushes?.Errors ?? 0);
        if (errors > 0)
            found.Note($"{device.Volume} errors", string.Create(CultureInfo.InvariantCulture, $"{errors} reads, writes and flushes ended in sense data or BUSY since the device was attached"), "Initiators repeat most of them; 'tcmu-gateway events' says when and why.");
    }

    /// <summary>Commands in flight at both looks, and none answered between them.</summary>
    private static void Waiting(Findings found, DaemonView seen, Device device)
    {
        if (seen.After is null || seen.Before.Devices.FirstOrDefault(d => d.Name == device.Name) is not { } before) return;
        var (had, has) = (Answered(before), Answered(device));
        if (before.InFlight == 0 || device.InFlight == 0 || has != had) return;
        var seconds = (seen.After.At.ToDateTime() - seen.Before.At.ToDateTime()).TotalSeconds;
        found.Warning($"{device.Volume} queue", string.Create(CultureInfo.InvariantCulture, $"{device.InFlight} commands wait, and none was answered for {seconds:0.#} s"), "They wait for the store, the journal's disk or the lease: see the other findings. None waits for longer than volumes.commandTimeoutSeconds.");
    }

    private void Journal(Findings found, Device device)
    {
        if (device.Open is not { JournalBytes: > 0 } open) return;
        var percent = 100.0 * open.DirtyBytes / open.JournalBytes;
        var text = string.Create(CultureInfo.InvariantCulture, $"{percent:0} % full ({ByteSize.Format(open.DirtyBytes)} of {ByteSize.Format(open.JournalBytes)} are not in the store yet)");
        const string Remedy = "The store takes less than is written: see its findings, raise volumes.uploadWindow, or give more time between bursts by a larger journal.capacityBytes (of new journals).";
        if (percent >= JournalFullPercent) found.Fault($"{device.Volume} journal", $"{text}: writes wait for room", Remedy);
        else if (percent >= highWaterPercent) found.Warning($"{device.Volume} journal", $"{text}: writes are slowed down", Remedy);
    }

    private static void Latencies(Findings found, Device device)
    {
        foreach (var (what, counts, remedy) in ((string, Counts?, string)[])
        [
            ("reads", device.Reads, "Most come from the store: more cache (volumes.cacheBytes, cacheFileBytes), or see the store's findings."),
            ("writes", device.Writes, "The journal's disk is slow, or the journal full: see the findings of disk."),
            ("flushes", device.Flushes, "The journal's disk is slow (see the findings of disk); with durability \"bucket\" each waits for the store."),
        ])
        {
            if (counts is null || LatencyBuckets.Percentile([.. counts.Latencies], 0.99) < (long)SlowP99.TotalNanoseconds) continue;
            found.Warning($"{device.Volume} {what}", $"one in a hundred takes {Latency(counts)} or more, since the device was attached", remedy);
        }
    }

    private static void Store(Findings found, StoreStatus store)
    {
        var check = $"store {store.Name}";
        if (store.RefusedS > 0) found.Fault(check, $"has refused the gateway's requests for {StatusText.Duration(TimeSpan.FromSeconds(store.RefusedS))}: {store.LastError}", "Correct the store's credentials or its bucket; files with secrets may be replaced while the gateway runs.");
        else if (store.Breaker is "open" or "half-open") found.Fault(check, $"its circuit breaker is {store.Breaker}: the store has done nothing for {StatusText.Duration(TimeSpan.FromSeconds(store.AwayS))}; {store.LastError}", "Is the store up, and the way to it? Requests go on by themselves once a probe succeeds; until then reads that are in no cache wait, and writes fill the journal.");
        else if (store.AwayS > 0) found.Warning(check, $"has done nothing for {StatusText.Duration(TimeSpan.FromSeconds(store.AwayS))}: {store.LastError}", "Is the store up, and the way to it?");
        else if (store.Rejected > 0) found.Note(check, string.Create(CultureInfo.InvariantCulture, $"{store.Rejected} requests found the queue full or the breaker open since the gateway was started"), "If that goes on: more resilience.foregroundRequests and backgroundRequests, if the store can take them.");
        else if (store.Attempts > 0 && store.Retries > store.Attempts * RetriesHigh) found.Warning(check, string.Create(CultureInfo.InvariantCulture, $"{store.Retries} of {store.Attempts} requests were repetitions, {store.Timeouts} timed out"), $"The store or the network fails now and then. The last failure: {store.LastError}");
        else found.Ok(check, store.Breaker == "unused" ? "not used yet" : string.Create(CultureInfo.InvariantCulture, $"breaker {store.Breaker}, {store.Attempts} requests, {store.Retries} repeated"));
    }

    private static void Logged(Findings found, DaemonView seen)
    {
        var since = (seen.After ?? seen.Before).At.ToDateTime() - EventsOf;
        var bad = seen.Events.Where(e => e.Level is "warning" or "error" or "critical" && e.At.ToDateTime() >= since).ToArray();
        if (bad.Length == 0) found.Ok("events", "no warning and no error within the last hour");
        else found.Note("events", $"{bad.Count(e => e.Level != "warning").ToString(CultureInfo.InvariantCulture)} errors and {bad.Count(e => e.Level == "warning").ToString(CultureInfo.InvariantCulture)} warnings within the last hour; the last: {bad[^1].Message}", "tcmu-gateway events");
    }

    private static long Answered(Device device) => (device.Reads?.Commands ?? 0) + (device.Writes?.Commands ?? 0) + (device.Flushes?.Commands ?? 0) + (device.Others?.Commands ?? 0);

    private static string Latency(Counts? counts) => counts is null ? "-" : StatusText.Time(LatencyBuckets.Percentile([.. counts.Latencies], 0.99));
}
