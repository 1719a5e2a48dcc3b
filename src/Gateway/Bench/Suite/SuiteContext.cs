using System.Globalization;
using Gateway.Backends.S3;
using Gateway.Volumes;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace Gateway.Bench.Suite;

/// <summary>What a group of figures is measured with.</summary>
/// <param name="Directory">On the local disk to be measured: journals, directory stores, files to compare with.</param>
/// <param name="Output">Takes the values.</param>
/// <param name="Progress">Takes what a person wants to know meanwhile.</param>
internal sealed record SuiteContext(string Directory, TextWriter Output, TextWriter Progress)
{
    /// <summary>Names the S3 endpoint to measure; keys come from where the AWS tools look for them.</summary>
    public const string EndpointVariable = "BENCH_S3_ENDPOINT";

    /// <summary>Names its bucket.</summary>
    public const string BucketVariable = "BENCH_S3_BUCKET";

    public TimeProvider Time { get; } = TimeProvider.System;

    public ILogger Logger { get; init; } = NullLogger.Instance;

    /// <summary>The S3 store to measure, with keys below a prefix of this process; null if none was named.</summary>
    public static S3StoreOptions? S3Options =>
        Environment.GetEnvironmentVariable(EndpointVariable) is not { Length: > 0 } endpoint ? null : new S3StoreOptions
        {
            Endpoint = new Uri(endpoint),
            Bucket = Environment.GetEnvironmentVariable(BucketVariable) ?? "bench",
            Prefix = string.Create(CultureInfo.InvariantCulture, $"bench-{Environment.ProcessId}"),
        };

    public void Report(SuiteTarget target, double value) => Report(target.Id, value);

    public void Log(FormattableString line) => Progress.WriteLine("    " + line.ToString(CultureInfo.InvariantCulture));

    /// <summary>Runs a step of a group in a fresh process; its values by name.</summary>
    /// <exception cref="SuiteException">It failed.</exception>
    public static async Task<Dictionary<string, double>> RunStepAsync(SuiteGroup group, string step, string directory, CancellationToken cancellationToken)
    {
        string[] arguments = ["bench", "suite", "--directory", directory, "--group", group.Targets[0].Id, "--step", step];
        return ParseValues(await ChildProcess.RunAsync(Environment.ProcessPath!, arguments, group.TimeLimit, "build it anew", cancellationToken));
    }

    /// <summary>Values as <see cref="Report(string, double)"/> writes them.</summary>
    public static Dictionary<string, double> ParseValues(string output)
    {
        var values = new Dictionary<string, double>();
        foreach (var line in output.Split('\n'))
            if (line.Split('=') is [var name, var value]) values[name] = double.Parse(value, CultureInfo.InvariantCulture);
        return values;
    }

    public void Report(string name, double value) => Output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{name}={value:R}"));

    /// <summary>A new volume on a directory store, both on the disk to be measured.</summary>
    public Task<BenchTarget> NewVolumeAsync(long sizeBytes, VolumeOptions options, long journalBytes, CancellationToken cancellationToken) => BenchTarget.TemporaryAsync(
        Directory, new VolumeSpec(sizeBytes, VolumeSpec.BlockSizeDefaultBytes), options, journalBytes, Time, Logger, cancellationToken);
}
