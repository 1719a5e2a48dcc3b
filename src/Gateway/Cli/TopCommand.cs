using System.CommandLine;
using System.Globalization;
using Gateway.Control.V1;
using Gateway.Tcmu;
using Google.Protobuf;
using Grpc.Core;
using Spectre.Console;
using Status = Gateway.Control.V1.Status;

namespace Gateway.Cli;

/// <summary><c>top</c>: the daemon, live.</summary>
internal static class TopCommand
{
    private const int PlainWidth = 200;

    public static Command Build()
    {
        var interval = new Option<double>("--interval", "-d") { Description = "Seconds between two pictures, from 0.1 on.", DefaultValueFactory = _ => 1, HelpName = "SECONDS" };
        var count = new Option<int>("--count", "-n") { Description = "Pictures to show. Default: until Ctrl-C.", DefaultValueFactory = _ => int.MaxValue, HelpName = "NUMBER" };
        var output = VolumeCommands.OutputOption();
        return ControlCommands.WithConnection(new Command("top", "Shows each volume live: commands and bytes per second, latencies, hit ratio, what is in the journal, its store's breaker. On a terminal in place, else one after the other. As JSON: the status, one a line.") { interval, count, output }, async (client, result, writer, cancellation) =>
        {
            var seconds = result.GetValue(interval);
            if (seconds is not (>= 0.1 and <= 3600)) throw new Configuration.ConfigurationException("--interval must be between 0.1 and 3600 seconds.");
            using var call = client.WatchStatus(new WatchStatusRequest { IntervalMs = (int)(seconds * 1000) }, cancellationToken: cancellation);
            var left = result.GetValue(count);
            if (result.GetValue(output) == VolumeCommands.JsonOutput)
            {
                while (left-- > 0 && await call.ResponseStream.MoveNext(cancellation)) await writer.WriteLineAsync(JsonFormatter.Default.Format(call.ResponseStream.Current));
                return 0;
            }

            if (ReferenceEquals(writer, Console.Out) && !Console.IsOutputRedirected && AnsiConsole.Console.Profile.Capabilities.Interactive)
            {
                await AnsiConsole.Console.Live(new Text("Waiting for the gateway ...")).StartAsync(async live => await EachAsync(call, left, picture =>
                {
                    live.UpdateTarget(picture);
                    live.Refresh();
                }, cancellation));
            }
            else
            {
                var console = Plain(writer);
                await EachAsync(call, left, picture => console.Write(picture), cancellation);
            }

            return 0;
        });
    }

    /// <summary>For files and pipes: no colours, and lines as long as they are.</summary>
    public static IAnsiConsole Plain(TextWriter writer)
    {
        var console = AnsiConsole.Create(new AnsiConsoleSettings { Out = new AnsiConsoleOutput(writer), Ansi = AnsiSupport.No, ColorSystem = ColorSystemSupport.NoColors, Interactive = InteractionSupport.No });
        console.Profile.Width = PlainWidth;
        return console;
    }

    /// <summary>A picture of what happened between two states of the daemon.</summary>
    public static Table Picture(Status before, Status now)
    {
        var seconds = Math.Max(0.001, (now.At.ToDateTime() - before.At.ToDateTime()).TotalSeconds);
        var table = new Table { Border = TableBorder.Simple };
        table.Title = new TableTitle(Markup.Escape(string.Create(CultureInfo.InvariantCulture,
            $"tcmu-gateway {now.Version}  up {StatusText.Duration(now.At.ToDateTime() - now.StartedAt.ToDateTime())}  {ByteSize.Format(now.ResidentBytes)}  {now.Threads} threads  {now.At.ToDateTime():HH:mm:ss}Z")));
        foreach (var column in (string[])["VOLUME", "STATE", "R/s", "W/s", "R MB/s", "W MB/s", "R p50", "R p99", "W p50", "W p99", "HIT", "DIRTY", "QUEUE", "BREAKER"])
            table.AddColumn(new TableColumn(column) { NoWrap = true, Alignment = column is "VOLUME" or "STATE" or "BREAKER" ? Justify.Left : Justify.Right });
        foreach (var device in now.Devices)
        {
            var old = before.Devices.FirstOrDefault(d => d.Name == device.Name) ?? new Device();
            var (reads, writes) = (Difference(old.Reads, device.Reads), Difference(old.Writes, device.Writes));
            var (hits, misses) = (device.Open?.BlocksAtOnce - (old.Open?.BlocksAtOnce ?? 0), device.Open?.BlocksFetched - (old.Open?.BlocksFetched ?? 0));
            var breaker = now.Stores.FirstOrDefault(s => s.Name == device.Volume.Split('/')[0])?.Breaker ?? "-";
            var cells = (string[])
            [
                device.Volume, StatusText.StateOf(device.State), Rate(reads.Commands, seconds), Rate(writes.Commands, seconds),
                Megabytes(reads.Bytes, seconds), Megabytes(writes.Bytes, seconds),
                Latency(reads, 0.5), Latency(reads, 0.99), Latency(writes, 0.5), Latency(writes, 0.99),
                StatusText.Share(hits, misses), device.Open is { } open ? ByteSize.Format(open.DirtyBytes) : "-", device.InFlight.ToString(CultureInfo.InvariantCulture), breaker,
            ];
            table.AddRow(cells.Select((cell, i) => (i == 1 && device.State != Device.Types.State.Serving) || (i == cells.Length - 1 && breaker is "open" or "half-open")
                ? new Markup($"[red]{Markup.Escape(cell)}[/]") : new Markup(Markup.Escape(cell))));
        }

        if (now.Devices.Count == 0) table.AddRow(new Text("no volume is exported"));
        return table;
    }

    private static async Task EachAsync(AsyncServerStreamingCall<Status> call, int pictures, Action<Table> show, CancellationToken cancellation)
    {
        Status? before = null;
        await foreach (var status in call.ResponseStream.ReadAllAsync(cancellation))
        {
            if (before is not null)
            {
                show(Picture(before, status));
                if (--pictures <= 0) return;
            }

            before = status;
        }
    }

    /// <summary>What was counted between the two; all of it if the counts began anew.</summary>
    private static Counts Difference(Counts? before, Counts? now)
    {
        if (now is null) return new Counts();
        if (before is null || before.Commands > now.Commands || before.Latencies.Count != now.Latencies.Count) return now;
        return new Counts
        {
            Commands = now.Commands - before.Commands,
            Bytes = now.Bytes - before.Bytes,
            Errors = now.Errors - before.Errors,
            Latencies = { now.Latencies.Zip(before.Latencies, (n, b) => n - b) },
        };
    }

    private static string Rate(long commands, double seconds) => (commands / seconds).ToString("0", CultureInfo.InvariantCulture);

    private static string Megabytes(long bytes, double seconds) => (bytes / seconds / 1e6).ToString("0.0", CultureInfo.InvariantCulture);

    private static string Latency(Counts counts, double share) => StatusText.Time(LatencyBuckets.Percentile([.. counts.Latencies], share));
}
