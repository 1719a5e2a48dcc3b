using System.Globalization;
using Gateway.Control.V1;
using Gateway.Tcmu;

namespace Gateway.Cli;

/// <summary>The daemon's status for people.</summary>
internal static class StatusText
{
    public static async Task WriteAsync(TextWriter writer, Status status)
    {
        var up = status.At.ToDateTime() - status.StartedAt.ToDateTime();
        await writer.WriteLineAsync($"tcmu-gateway {status.Version}, process {Text(status.ProcessId)}, up {Duration(up)}, {ByteSize.Format(status.ResidentBytes)} resident, {Text(status.Threads)} threads");
        await writer.WriteLineAsync();
        if (status.Devices.Count == 0)
        {
            await writer.WriteLineAsync("No volume is exported. 'tcmu-gateway target export STORE/VOLUME' exports one.");
        }
        else
        {
            await VolumeCommands.WriteTableAsync(
                writer,
                ["VOLUME", "STATE", "SIZE", "READS", "WRITES", "ERRORS", "P99 READ", "P99 WRITE", "HIT", "IN JOURNAL", "IN FLIGHT"],
                [.. status.Devices.Select(d => (string[])
                [
                    d.Volume, StateOf(d.State), d.Open is { } open ? ByteSize.Format(open.Size) : "-", Count(d.Reads), Count(d.Writes),
                    Text((d.Reads?.Errors ?? 0) + (d.Writes?.Errors ?? 0) + (d.Flushes?.Errors ?? 0) + (d.Others?.Errors ?? 0)),
                    Latency(d.Reads, 0.99), Latency(d.Writes, 0.99), Share(d.Open?.BlocksAtOnce, d.Open?.BlocksFetched), d.Open is { } o ? ByteSize.Format(o.DirtyBytes) : "-", Text(d.InFlight),
                ])]);
            foreach (var device in status.Devices.Where(d => d.Reason.Length > 0)) await writer.WriteLineAsync($"  {device.Volume} is {StateOf(device.State)}: {device.Reason}");
        }

        await writer.WriteLineAsync();
        await VolumeCommands.WriteTableAsync(
            writer,
            ["STORE", "TYPE", "BREAKER", "REQUESTS", "RETRIES", "TIMEOUTS", "REJECTED"],
            [.. status.Stores.Select(s => (string[])[s.Name, s.Type, s.Breaker, Text(s.Attempts), Text(s.Retries), Text(s.Timeouts), Text(s.Rejected)])]);
        foreach (var store in status.Stores)
        {
            if (store.RefusedS > 0) await writer.WriteLineAsync($"  {store.Name} has refused our requests for {Duration(TimeSpan.FromSeconds(store.RefusedS))}: {store.LastError}");
            else if (store.AwayS > 0) await writer.WriteLineAsync($"  {store.Name} has done nothing for {Duration(TimeSpan.FromSeconds(store.AwayS))}: {store.LastError}");
        }
    }

    public static string StateOf(Device.Types.State state) => state switch
    {
        Device.Types.State.Serving => "serving",
        Device.Types.State.Standby => "standby",
        _ => "not open",
    };

    public static string Duration(TimeSpan time) => time switch
    {
        { TotalDays: >= 1 } => string.Create(CultureInfo.InvariantCulture, $"{(int)time.TotalDays} d {time.Hours} h"),
        { TotalHours: >= 1 } => string.Create(CultureInfo.InvariantCulture, $"{time.Hours} h {time.Minutes} min"),
        { TotalMinutes: >= 1 } => string.Create(CultureInfo.InvariantCulture, $"{time.Minutes} min {time.Seconds} s"),
        _ => string.Create(CultureInfo.InvariantCulture, $"{time.TotalSeconds:0.#} s"),
    };

    /// <summary>A time in nanoseconds; "-" for none.</summary>
    public static string Time(long nanoseconds) => nanoseconds switch
    {
        0 => "-",
        < 1_000_000 => string.Create(CultureInfo.InvariantCulture, $"{nanoseconds / 1e3:0} µs"),
        < 1_000_000_000 => string.Create(CultureInfo.InvariantCulture, $"{nanoseconds / 1e6:0.#} ms"),
        _ => string.Create(CultureInfo.InvariantCulture, $"{nanoseconds / 1e9:0.#} s"),
    };

    public static string Share(long? part, long? rest) => part is { } p && rest is { } r && p + r > 0 ? string.Create(CultureInfo.InvariantCulture, $"{100.0 * p / (p + r):0} %") : "-";

    private static string Latency(Counts? counts, double share) => counts is null ? "-" : Time(LatencyBuckets.Percentile([.. counts.Latencies], share));

    private static string Count(Counts? counts) => counts is null ? "-" : Text(counts.Commands);

    private static string Text(long value) => value.ToString(CultureInfo.InvariantCulture);
}
