using System.CommandLine;
using System.CommandLine.Parsing;
using System.Globalization;
using System.Text.Json;
using Gateway.Backends.Core;
using Gateway.Bench;
using Gateway.Configuration;
using Gateway.Tcmu;
using Gateway.Volumes;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Gateway.Cli;

/// <summary><c>bench</c>: a load on a device, without a kernel: the ring's kernel side is simulated, everything behind it is what serves initiators.</summary>
internal static class BenchCommand
{
    private const string TextOutput = "text";
    private const string JsonOutput = "json";
    private const long SizeDefaultBytes = 1L << 30;

    private static readonly Option<string> Target = new("--target", "-t")
    {
        Description = "What to measure: null (a device that keeps nothing), temporary (a new volume in --directory, removed afterwards), or STORE/VOLUME of the configuration.",
        DefaultValueFactory = _ => BenchTarget.NullName,
        HelpName = "TARGET",
    };

    private static readonly Option<string> Directory = new("--directory", "-d") { Description = "Where a temporary volume has its journal and its store.", DefaultValueFactory = _ => ".", HelpName = "DIR" };
    private static readonly Option<AccessPattern> Pattern = new("--rw") { Description = "read, write, randread, randwrite or randrw (half reads).", DefaultValueFactory = _ => AccessPattern.RandRead, HelpName = "PATTERN" };
    private static readonly Option<long> BlockSize = Size("--bs", "Data of one command.", 4096);
    private static readonly Option<int> Depth = new("--iodepth") { Description = "Commands in flight.", DefaultValueFactory = _ => 32, HelpName = "N" };
    private static readonly Option<double> Runtime = new("--runtime") { Description = "How long to measure.", DefaultValueFactory = _ => 5, HelpName = "SECONDS" };
    private static readonly Option<double> Ramp = new("--ramp") { Description = "How long to run before measuring.", DefaultValueFactory = _ => 1, HelpName = "SECONDS" };
    private static readonly Option<long> Number = new("--number") { Description = "Reads and writes to measure at most; 0: what the time allows.", HelpName = "N" };
    private static readonly Option<long> Rate = new("--rate") { Description = "Reads and writes each second at most; 0: what the device takes.", HelpName = "N" };
    private static readonly Option<long> Span = Size("--size", "Addresses used, from 0 on; the size of a temporary volume. Default: 1 GiB, or all of an existing volume.", 0);
    private static readonly Option<int> Fsync = new("--fsync") { Description = "A SYNCHRONIZE CACHE after every N writes of each of the commands in flight.", HelpName = "N" };
    private static readonly Option<bool> Fua = new("--fua") { Description = "Writes force unit access: each is durable when it completes." };
    private static readonly Option<long> Cache = Size("--cache", "Read cache in memory of a temporary volume.", new VolumeOptions().CacheBytes);
    private static readonly Option<double> BusyPoll = new("--busy-poll") { Description = "How long the ring's thread spins before it sleeps.", HelpName = "MICROSECONDS" };
    private static readonly Option<bool> Overwrite = new("--overwrite") { Description = "Allows a load that writes to destroy the data of STORE/VOLUME." };
    private static readonly Option<FaultPlan?> Fault = new("--fault")
    {
        Description = $"What goes wrong with the store of a temporary volume while it is measured, for example 'unavailable=0.15,reset=0.15,slow=0.05:10s'. {FaultPlan.Syntax}",
        CustomParser = ParseFault,
        HelpName = "FAULTS",
    };

    private static readonly Option<ulong> Seed = new("--seed") { Description = "Decides addresses, data and faults.", DefaultValueFactory = _ => 1, HelpName = "N" };
    private static readonly Option<string> Output = new("--output", "-o") { Description = "Form of the output: text or json.", DefaultValueFactory = _ => TextOutput, HelpName = "FORM" };

    public static Command Build()
    {
        Output.AcceptOnlyFromAmong(TextOutput, JsonOutput);
        var command = new Command("bench", "Measures a device through the ring protocol, with the kernel's side simulated. Needs neither root nor TCMU. Ctrl-C prints what was measured so far.")
        {
            Target, Directory, Pattern, BlockSize, Depth, Runtime, Ramp, Number, Rate, Span, Fsync, Fua, Cache, BusyPoll, Overwrite, Fault, Seed, Output,
        };
        command.Subcommands.Add(S3BenchCommand.Build());
        command.Subcommands.Add(BenchSuiteCommand.Build());
        command.SetAction((result, cancellation) => CommandLine.RunAsync(() => RunAsync(result, cancellation), result.InvocationConfiguration.Error));
        return command;
    }

    private static async Task RunAsync(ParseResult result, CancellationToken cancellationToken)
    {
        var time = TimeProvider.System;
        var workload = new Workload
        {
            Pattern = result.GetValue(Pattern),
            BlockBytes = (int)Math.Min(int.MaxValue, result.GetValue(BlockSize)),
            Depth = result.GetValue(Depth),
            Runtime = TimeSpan.FromSeconds(result.GetValue(Runtime)),
            Ramp = TimeSpan.FromSeconds(result.GetValue(Ramp)),
            NumberMax = result.GetValue(Number),
            RateMax = result.GetValue(Rate),
            SpanBytes = result.GetValue(Span),
            FsyncEvery = result.GetValue(Fsync),
            Fua = result.GetValue(Fua),
            Seed = result.GetValue(Seed),
        };
        var ring = new RingDeviceOptions { BusyPoll = TimeSpan.FromMicroseconds(result.GetValue(BusyPoll)) };
        // What the volume has to complain about is what explains a bad figure.
        using var host = ServeCommand.NewHostBuilder(LogLevel.Warning).Build();
        var logger = host.Services.GetRequiredService<ILoggerFactory>().CreateLogger("Gateway.Volumes");
        var name = result.GetValue(Target)!;
        var faults = result.GetValue(Fault);
        if (faults is not null && name != BenchTarget.TemporaryName) throw new ConfigurationException("--fault is for --target temporary: other targets have no store, or one with data of yours.");
        if (name is BenchTarget.NullName or BenchTarget.TemporaryName)
        {
            var size = workload.SpanBytes == 0 ? SizeDefaultBytes : workload.SpanBytes;
            // What no target could do is refused before one is made.
            if (workload.Fault(VolumeSpec.BlockSizeDefaultBytes, size) is { } fault) throw new ConfigurationException(fault);
            var (directory, spec, options, journalBytes) = (result.GetValue(Directory)!, new VolumeSpec(size, VolumeSpec.BlockSizeDefaultBytes), new VolumeOptions { CacheBytes = result.GetValue(Cache) }, new JournalOptions().CapacityBytes);
            await using var target = name == BenchTarget.NullName ? BenchTarget.Null(size, VolumeSpec.BlockSizeDefaultBytes)
                : faults is null ? await BenchTarget.TemporaryAsync(directory, spec, options, journalBytes, time, logger, cancellationToken)
                : await BenchTarget.TemporaryWithFaultsAsync(directory, spec, options, journalBytes, unchecked((int)workload.Seed), time, logger, cancellationToken);
            if (workload.Reads && target.Volume is not null) await BenchRun.FillAsync(target, size, time, cancellationToken);
            if (faults is not null) target.BeginFaults(faults);
            await MeasureAsync(result, target, workload, ring, time, cancellationToken);
            return;
        }

        if (workload.Writes && !result.GetValue(Overwrite))
            throw new ConfigurationException($"--rw {workload.Pattern.ToString().ToLowerInvariant()} would destroy the data of volume {name}. Say --overwrite if that is meant, or measure --target temporary.");
        var configuration = GatewayConfiguration.Load(result.GetValue(CommandLine.ConfigOption)!);
        await using (var stores = new StoreSet(configuration, time))
        {
            await using var target = await BenchTarget.ConfiguredAsync(configuration, stores, VolumePath.Parse(name), time, logger, cancellationToken);
            await MeasureAsync(result, target, workload, ring, time, cancellationToken);
        }
    }

    private static async Task MeasureAsync(ParseResult result, BenchTarget target, Workload workload, RingDeviceOptions ring, TimeProvider time, CancellationToken cancellationToken)
    {
        var report = await BenchRun.RunAsync(target, workload, ring, time, cancellationToken);
        var writer = result.InvocationConfiguration.Output;
        if (result.GetValue(Output) == JsonOutput) await writer.WriteLineAsync(JsonSerializer.Serialize(report, BenchJson.Default.BenchReport));
        else await report.WriteTextAsync(writer);
        await writer.FlushAsync(CancellationToken.None);
    }

    private static FaultPlan? ParseFault(ArgumentResult argument)
    {
        try
        {
            return FaultPlan.Parse(argument.Tokens[0].Value);
        }
        catch (FormatException e)
        {
            argument.AddError($"--fault: {e.Message}");
            return null;
        }
    }

    private static Option<long> Size(string name, string description, long value)
    {
        return new Option<long>(name) { Description = description, DefaultValueFactory = _ => value, CustomParser = Parse, HelpName = "SIZE" };

        static long Parse(ArgumentResult argument)
        {
            if (ByteSize.TryParse(argument.Tokens[0].Value, out var bytes)) return bytes;
            argument.AddError(string.Create(CultureInfo.InvariantCulture, $"'{argument.Tokens[0].Value}' is no size. Write bytes, or a number with a unit: 4k, 1MiB, 20GB."));
            return 0;
        }
    }
}
