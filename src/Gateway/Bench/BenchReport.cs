using System.Globalization;
using System.Text.Json.Serialization;
using Gateway.Cli;

namespace Gateway.Bench;

/// <summary>What one kind of command achieved.</summary>
/// <param name="Count">Commands measured.</param>
/// <param name="Iops">Commands each second.</param>
/// <param name="BytesPerSecond">Data each second; 0 for syncs.</param>
internal sealed record CommandReport(
    long Count, double Iops, double BytesPerSecond, double MeanMicroseconds, double P50Microseconds, double P99Microseconds, double P999Microseconds, double MaxMicroseconds);

/// <summary>What was asked of the store while the load ran, and until all its writes had arrived there.</summary>
/// <param name="PutBytesPerByteWritten">Bytes put for each byte written by the initiator; null for a load without writes.</param>
internal sealed record StoreReport(long Puts, long PutBytes, long Gets, long GetBytes, long OtherRequests, double? PutBytesPerByteWritten, double DrainSeconds);

/// <summary>The outcome of a bench run: what <c>--output json</c> prints.</summary>
internal sealed record BenchReport
{
    public required string Target { get; init; }

    public required string Rw { get; init; }

    public required int BlockBytes { get; init; }

    public required int Depth { get; init; }

    public required long SpanBytes { get; init; }

    public required double Seconds { get; init; }

    /// <summary>Ended by Ctrl-C: all figures are of the time until then.</summary>
    public required bool Interrupted { get; init; }

    public CommandReport? Read { get; init; }

    public CommandReport? Write { get; init; }

    public CommandReport? Sync { get; init; }

    /// <summary>CPU time of the gateway's part of the process (all threads but the one that plays kernel and initiator) for each command.</summary>
    public required double CpuMicrosecondsPerCommand { get; init; }

    /// <summary>Of that, the ring's thread.</summary>
    public required double RingCpuMicrosecondsPerCommand { get; init; }

    /// <summary>CPUs that the whole process kept busy.</summary>
    public required double CpusBusy { get; init; }

    /// <summary>Managed bytes allocated by the whole process for each command.</summary>
    public required double AllocatedBytesPerCommand { get; init; }

    public required int Collections { get; init; }

    /// <summary>Commands sent again after NOT READY.</summary>
    public required long Retries { get; init; }

    /// <summary>Null for the null device.</summary>
    public StoreReport? Store { get; init; }

    public static BenchReport Of(BenchTarget target, Workload workload, LoadResult result, StoreTraffic? traffic, TimeSpan drain)
    {
        var commands = Math.Max(1, result.Commands);
        var written = result.Writes.Count * workload.BlockBytes;
        return new BenchReport
        {
            Target = target.Name,
            Rw = workload.Pattern.ToString().ToLowerInvariant(),
            BlockBytes = workload.BlockBytes,
            Depth = workload.Depth,
            SpanBytes = workload.SpanBytes == 0 ? target.SizeBytes : Math.Min(workload.SpanBytes, target.SizeBytes),
            Seconds = Rounded(result.Elapsed.TotalSeconds),
            Interrupted = result.Interrupted,
            Read = Describe(result.Reads, result.Elapsed, workload.BlockBytes),
            Write = Describe(result.Writes, result.Elapsed, workload.BlockBytes),
            Sync = Describe(result.Syncs, result.Elapsed, 0),
            CpuMicrosecondsPerCommand = Rounded((result.Use.Process - result.Use.Initiator).TotalMicroseconds / commands),
            RingCpuMicrosecondsPerCommand = Rounded(result.Use.Ring.TotalMicroseconds / commands),
            CpusBusy = Rounded(result.Use.Process / result.Elapsed),
            AllocatedBytesPerCommand = Rounded((double)result.Use.AllocatedBytes / commands),
            Collections = result.Use.Collections,
            Retries = result.Retries,
            Store = traffic is not { } t ? null : new StoreReport(
                t.Puts, t.PutBytes, t.Gets, t.GetBytes, t.Others, written == 0 ? null : Rounded((double)t.PutBytes / written), Rounded(drain.TotalSeconds)),
        };
    }

    public async Task WriteTextAsync(TextWriter writer)
    {
        await writer.WriteLineAsync(Text($"{Rw}, {ByteSize.Format(BlockBytes)}, depth {Depth}, {Seconds:0.0} s{(Interrupted ? " (interrupted)" : "")}, first {ByteSize.Format(SpanBytes)} of {Target}"));
        foreach (var (name, report) in new[] { ("read", Read), ("write", Write), ("sync", Sync) })
        {
            if (report is null) continue;
            var bandwidth = report.BytesPerSecond > 0 ? Text($"{report.BytesPerSecond / 1e6,9:N1} MB/s") : new string(' ', 14);
            await writer.WriteLineAsync(Text(
                $"  {name,-6} {report.Iops,11:N0} IOPS {bandwidth}  p50 {Duration(report.P50Microseconds)}  p99 {Duration(report.P99Microseconds)}  p99.9 {Duration(report.P999Microseconds)}  max {Duration(report.MaxMicroseconds)}"));
        }

        await writer.WriteLineAsync(Text($"  cpu    {CpuMicrosecondsPerCommand:0.###} us a command, of which the ring's thread {RingCpuMicrosecondsPerCommand:0.###}; {CpusBusy:0.00} CPUs busy, kernel and initiator included"));
        await writer.WriteLineAsync(Text($"  memory {AllocatedBytesPerCommand:0.##} bytes allocated a command, {Collections} collections"));
        if (Retries > 0) await writer.WriteLineAsync(Text($"  retry  {Retries} commands were sent again after NOT READY: the store or the journal is behind"));
        if (Store is not { } store) return;
        var share = store.PutBytesPerByteWritten is { } ratio ? Text($", {ratio:0.000} bytes for each byte written") : "";
        await writer.WriteLineAsync(Text(
            $"  store  {store.Puts} PUT ({ByteSize.Format(store.PutBytes)}{share}), {store.Gets} GET ({ByteSize.Format(store.GetBytes)}), {store.OtherRequests} other requests; drained in {store.DrainSeconds:0.0} s"));
    }

    private static CommandReport? Describe(LatencyHistogram latencies, TimeSpan elapsed, int blockBytes) => latencies.Count == 0 ? null : new CommandReport(
        latencies.Count, Rounded(latencies.Count / elapsed.TotalSeconds), Rounded(latencies.Count * (double)blockBytes / elapsed.TotalSeconds),
        Microseconds(latencies.MeanNanoseconds), Microseconds(latencies.Percentile(0.5)), Microseconds(latencies.Percentile(0.99)), Microseconds(latencies.Percentile(0.999)), Microseconds(latencies.MaxNanoseconds));

    private static string Duration(double microseconds) => microseconds < 1000 ? Text($"{microseconds:0.#} us") : microseconds < 1e6 ? Text($"{microseconds / 1e3:0.##} ms") : Text($"{microseconds / 1e6:0.##} s");

    private static double Microseconds(double nanoseconds) => Rounded(nanoseconds / 1e3);

    private static double Rounded(double value) => Math.Round(value, 3);

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}

[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, WriteIndented = true, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(BenchReport))]
internal sealed partial class BenchJson : JsonSerializerContext;
