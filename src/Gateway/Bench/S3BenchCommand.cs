using System.CommandLine;
using System.ComponentModel.DataAnnotations;
using System.Globalization;
using System.Text.Json;
using Gateway.Backends.S3;
using Gateway.Cli;
using Gateway.Configuration;

namespace Gateway.Bench;

/// <summary><c>bench s3</c>: our S3 store against the leanest client on the same bucket.</summary>
internal static class S3BenchCommand
{
    private const string TextOutput = "text";
    private const string JsonOutput = "json";
    private const int ObjectBytesMax = 256 << 20;
    private const int ConcurrencyMax = 256;

    /// <summary>One measurement is this long, or a shorter run's fourth part: one pair each of puts and GETs is a round.</summary>
    private const double SliceSeconds = 3;

    private static readonly Option<string?> StoreOption = new("--store") { Description = "A store of the configuration, of type s3.", HelpName = "NAME" };
    private static readonly Option<string?> EndpointOption = new("--endpoint") { Description = "Without --store: http(s)://host[:port]; Amazon S3 if left out.", HelpName = "URL" };
    private static readonly Option<string?> BucketOption = new("--bucket") { Description = "Without --store: the bucket; it must exist.", HelpName = "NAME" };
    private static readonly Option<string?> RegionOption = new("--region") { Description = "Without --store: the region; us-east-1 if left out.", HelpName = "REGION" };
    private static readonly Option<string?> AccessKeyOption = new("--access-key-id") { Description = "Without --store: with --secret-access-key-file. Without them: the environment, the default profile, the instance's role.", HelpName = "ID" };
    private static readonly Option<string?> SecretFileOption = new("--secret-access-key-file") { Description = "A file that holds the secret access key and nothing else.", HelpName = "FILE" };
    private static readonly Option<bool> SignPayloadOption = new("--sign-payload") { Description = "Without --store: our store signs the hash of what it puts." };
    private static readonly Option<string> SizeOption = new("--size") { Description = "Length of every object.", DefaultValueFactory = _ => "8MiB", HelpName = "SIZE" };
    private static readonly Option<int> ConcurrencyOption = new("--concurrency") { Description = "Requests on their way at a time.", DefaultValueFactory = _ => 8, HelpName = "N" };
    private static readonly Option<double> SecondsOption = new("--seconds") { Description = "Time to measure, in all.", DefaultValueFactory = _ => 48, HelpName = "N" };
    private static readonly Option<string> OutputOption = new("--output", "-o") { Description = "Form of the output: text or json.", DefaultValueFactory = _ => TextOutput, HelpName = "FORM" };

    public static Command Build()
    {
        OutputOption.AcceptOnlyFromAmong(TextOutput, JsonOutput);
        var command = new Command("s3", "Measures our S3 store against a lean signed HTTP client, in turns, on one bucket.")
        {
            StoreOption, EndpointOption, BucketOption, RegionOption, AccessKeyOption, SecretFileOption, SignPayloadOption, SizeOption, ConcurrencyOption, SecondsOption, OutputOption,
        };
        command.SetAction((result, cancellation) => CommandLine.RunAsync(
            async () =>
            {
                var report = await MeasureAsync(result, cancellation);
                await WriteAsync(result, report);
            },
            result.InvocationConfiguration.Error));
        return command;
    }

    /// <summary>Pairs in turns, each round in the other order: what else the machine does meets both clients alike.</summary>
    /// <param name="ceiling">Of the store to measure.</param>
    /// <param name="duration">In all.</param>
    /// <param name="cancellationToken">Ends it.</param>
    public static async Task<(int Rounds, S3CeilingPair Put, S3CeilingPair Get)> MeasureAsync(S3Ceiling ceiling, TimeSpan duration, CancellationToken cancellationToken)
    {
        var rounds = Math.Max(1, (int)(duration.TotalSeconds / (4 * SliceSeconds)));
        var slice = duration / (4 * rounds);
        List<(TransferRate, TransferRate)> puts = [], gets = [];
        await ceiling.PrepareAsync(cancellationToken);
        for (var round = 0; round < rounds; round++)
        {
            puts.Add(await PairAsync(round, ceiling.PutAsync, ceiling.PutByStoreAsync));
            gets.Add(await PairAsync(round, ceiling.GetAsync, ceiling.GetByStoreAsync));
        }

        return (rounds, S3CeilingPair.From(puts), S3CeilingPair.From(gets));

        async Task<(TransferRate Ceiling, TransferRate Ours)> PairAsync(int round, Func<TimeSpan, CancellationToken, Task<TransferRate>> lean, Func<TimeSpan, CancellationToken, Task<TransferRate>> ours)
        {
            if (round % 2 == 0) return (await lean(slice, cancellationToken), await ours(slice, cancellationToken));
            var first = await ours(slice, cancellationToken);
            return (await lean(slice, cancellationToken), first);
        }
    }

    private static async Task<S3CeilingReport> MeasureAsync(ParseResult result, CancellationToken cancellationToken)
    {
        var options = StoreOptions(result);
        if (!ByteSize.TryParse(result.GetValue(SizeOption)!, out var objectBytes) || objectBytes is < 1 or > ObjectBytesMax)
            throw new ConfigurationException($"--size: '{result.GetValue(SizeOption)}' is no size between 1 byte and {ByteSize.Format(ObjectBytesMax)}.");
        var concurrency = result.GetValue(ConcurrencyOption);
        if (concurrency is < 1 or > ConcurrencyMax) throw new ConfigurationException($"--concurrency: must be between 1 and {ConcurrencyMax}.");
        var seconds = result.GetValue(SecondsOption);
        if (seconds is not (>= 1 and <= 86_400)) throw new ConfigurationException("--seconds: must be between 1 and 86400.");

        // The nonce keeps runs on one bucket apart.
        var random = new Random(HashCode.Combine(Environment.ProcessId, TimeProvider.System.GetTimestamp()));
        await using var ceiling = new S3Ceiling(options, (int)objectBytes, concurrency, TimeProvider.System, random);
        var (rounds, put, get) = await MeasureAsync(ceiling, TimeSpan.FromSeconds(seconds), cancellationToken);
        return new S3CeilingReport(ceiling.Description, (int)objectBytes, concurrency, rounds, put, get, Math.Min(put.Ratio, get.Ratio));
    }

    private static S3StoreOptions StoreOptions(ParseResult result)
    {
        if (result.GetValue(StoreOption) is { } name)
        {
            var configuration = GatewayConfiguration.Load(result.GetValue(CommandLine.ConfigOption)!);
            if (!configuration.Stores.TryGetValue(name, out var section)) throw new ConfigurationException($"There is no store '{name}' in the configuration.");
            return section.Type == "s3" ? section.ToS3Options() : throw new ConfigurationException($"Store '{name}' is of type '{section.Type}': name one of type s3.");
        }

        Uri? endpoint = null;
        if (result.GetValue(EndpointOption) is { } url && !Uri.TryCreate(url, UriKind.Absolute, out endpoint))
            throw new ConfigurationException($"--endpoint: '{url}' is not of the form http(s)://host[:port].");
        var options = new S3StoreOptions
        {
            Endpoint = endpoint,
            Bucket = result.GetValue(BucketOption) ?? throw new ConfigurationException("Name a store of the configuration with --store, or a bucket with --bucket."),
            AccessKeyId = result.GetValue(AccessKeyOption),
            SecretAccessKeyFile = result.GetValue(SecretFileOption),
            SignPayload = result.GetValue(SignPayloadOption),
        };
        if (result.GetValue(RegionOption) is { } region) options.Region = region;
        var faults = options.Validate(new ValidationContext(options, "store", null, null)).Select(f => f.ErrorMessage).ToArray();
        return faults.Length == 0 ? options : throw new ConfigurationException(string.Join('\n', faults));
    }

    private static async Task WriteAsync(ParseResult result, S3CeilingReport report)
    {
        var writer = result.InvocationConfiguration.Output;
        if (result.GetValue(OutputOption) == JsonOutput)
        {
            await writer.WriteLineAsync(JsonSerializer.Serialize(report, S3CeilingJson.Default.S3CeilingReport));
            return;
        }

        await writer.WriteLineAsync($"{report.Store}: objects of {ByteSize.Format(report.ObjectBytes)}, {report.Concurrency} at a time, {report.Rounds} rounds");
        await writer.WriteLineAsync(Row("", "MB/s", "CPU s/GB", "allocated/request", "ratio (of each round)"));
        foreach (var (name, pair) in ((string, S3CeilingPair)[])[("PUT", report.Put), ("GET", report.Get)])
        {
            await writer.WriteLineAsync(Figures(name + " ceiling", pair.Ceiling, ""));
            await writer.WriteLineAsync(Figures(name + " store", pair.Ours, string.Create(CultureInfo.InvariantCulture, $"{pair.Ratio:0.000} ({string.Join(' ', pair.RoundRatios.Select(r => r.ToString("0.00", CultureInfo.InvariantCulture)))})")));
        }

        static string Figures(string name, S3ClientFigures figures, string ratio) => Row(
            name, figures.MegabytesPerSecond.ToString("0.0", CultureInfo.InvariantCulture), figures.CpuSecondsPerGigabyte.ToString("0.000", CultureInfo.InvariantCulture),
            ByteSize.Format(figures.AllocatedBytesPerRequest), ratio);

        static string Row(string name, string rate, string cpu, string allocated, string ratio) => $"{name,-12}{rate,10}{cpu,12}{allocated,20}  {ratio}".TrimEnd();
    }
}
