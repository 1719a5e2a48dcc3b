using System.Text.Json.Serialization;

namespace Gateway.Bench;

/// <summary>How near <c>S3BlobStore</c> comes to the ceiling, measured in rounds of pairs within one run.</summary>
/// <param name="Store">What was measured.</param>
/// <param name="ObjectBytes">Length of every object.</param>
/// <param name="Concurrency">Requests on their way at a time.</param>
/// <param name="Rounds">How often each pair was measured.</param>
/// <param name="Put">Whole PUTs.</param>
/// <param name="Get">GETs of whole objects.</param>
/// <param name="Value">The lower one of the two ratios: what the row s3_sdk of the benchmarks reports.</param>
internal sealed record S3CeilingReport(string Store, int ObjectBytes, int Concurrency, int Rounds, S3CeilingPair Put, S3CeilingPair Get, double Value);

/// <summary>The lean client and our store at the same work.</summary>
/// <param name="Ceiling">The lean client.</param>
/// <param name="Ours">Our store.</param>
/// <param name="Ratio">Ours to the ceiling: the median of the rounds' ratios.</param>
/// <param name="RoundRatios">Of each round.</param>
internal sealed record S3CeilingPair(S3ClientFigures Ceiling, S3ClientFigures Ours, double Ratio, IReadOnlyList<double> RoundRatios)
{
    /// <summary>From the pairs of all rounds, at least one.</summary>
    public static S3CeilingPair From(IReadOnlyList<(TransferRate Ceiling, TransferRate Ours)> rounds)
    {
        var ratios = rounds.Select(r => Math.Round(r.Ours.MegabytesPerSecond / r.Ceiling.MegabytesPerSecond, 3)).ToArray();
        var sorted = ratios.Order().ToArray();
        var middle = sorted.Length / 2;
        var median = sorted.Length % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
        return new S3CeilingPair(
            S3ClientFigures.From(rounds.Select(r => r.Ceiling).Aggregate((a, b) => a + b)),
            S3ClientFigures.From(rounds.Select(r => r.Ours).Aggregate((a, b) => a + b)),
            Math.Round(median, 3), ratios);
    }
}

/// <summary>One client over all rounds.</summary>
/// <param name="MegabytesPerSecond">10^6 bytes per second.</param>
/// <param name="CpuSecondsPerGigabyte">Processor time of the client, per 10^9 bytes.</param>
/// <param name="AllocatedBytesPerRequest">On the managed heap.</param>
internal sealed record S3ClientFigures(double MegabytesPerSecond, double CpuSecondsPerGigabyte, long AllocatedBytesPerRequest)
{
    public static S3ClientFigures From(TransferRate rate) => new(
        Math.Round(rate.MegabytesPerSecond, 1), Math.Round(rate.Cpu.TotalSeconds / (rate.Bytes / 1e9), 3), rate.AllocatedBytes / Math.Max(rate.Requests, 1));
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, WriteIndented = true)]
[JsonSerializable(typeof(S3CeilingReport))]
internal sealed partial class S3CeilingJson : JsonSerializerContext;
