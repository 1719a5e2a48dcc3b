using System.Globalization;
using Gateway.Transfer;
using Spectre.Console;

namespace Gateway.Cli;

/// <summary>Shows how far a transfer is: a bar on a terminal, else a line for every so many percent, so that a log of it stays short.</summary>
internal static class TransferDisplay
{
    private const int PercentPerLine = 5;

    public static async Task<T> RunAsync<T>(TextWriter error, Func<IProgress<TransferProgress>, Action<string>, Task<T>> work)
    {
        if (!ReferenceEquals(error, Console.Error) || Console.IsErrorRedirected) return await work(new Lines(error), error.WriteLine);
        var console = AnsiConsole.Create(new AnsiConsoleSettings { Out = new AnsiConsoleOutput(error) });
        if (!console.Profile.Capabilities.Interactive) return await work(new Lines(error), error.WriteLine);
        return await console.Progress()
            .Columns(
                new TaskDescriptionColumn { Alignment = Justify.Left }, new ProgressBarColumn(), new PercentageColumn(), new DownloadedColumn { Base = FileSizeBase.Binary },
                new TransferSpeedColumn { Base = FileSizeBase.Binary }, new RemainingTimeColumn())
            .StartAsync(context => work(new Bars(context), line => console.WriteLine(line)));
    }

    private static string Verb(TransferPhase phase) => phase == TransferPhase.Copy ? "Copying" : "Comparing";

    private sealed class Lines(TextWriter error) : IProgress<TransferProgress>
    {
        private readonly Lock _gate = new();
        private (TransferPhase Phase, long Percent) _shown = (TransferPhase.Copy, -PercentPerLine);

        public void Report(TransferProgress value)
        {
            var percent = value.PositionBytes * 100 / value.SizeBytes;
            lock (_gate)
            {
                if (value.Phase == _shown.Phase && percent < _shown.Percent + PercentPerLine) return;
                _shown = (value.Phase, percent - (percent % PercentPerLine));
                error.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{Verb(value.Phase),-9} {percent,3} %: {ByteSize.Format(value.PositionBytes)} of {ByteSize.Format(value.SizeBytes)}, {ByteSize.Format(value.DataBytes)} of data"));
            }
        }
    }

    /// <summary>A bar for each phase.</summary>
    private sealed class Bars(ProgressContext context) : IProgress<TransferProgress>
    {
        private readonly Dictionary<TransferPhase, ProgressTask> _bars = [];
        private readonly Lock _gate = new();

        public void Report(TransferProgress value)
        {
            lock (_gate)
            {
                if (!_bars.TryGetValue(value.Phase, out var bar)) _bars.Add(value.Phase, bar = context.AddTask(Verb(value.Phase), maxValue: value.SizeBytes));
                bar.Value = value.PositionBytes;
            }
        }
    }
}
