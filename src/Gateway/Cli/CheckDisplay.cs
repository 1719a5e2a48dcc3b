using System.Globalization;
using Gateway.Volumes.Checking;
using Spectre.Console;

namespace Gateway.Cli;

/// <summary>Shows how far a check is: a bar on a terminal, else a line for every so many percent, so that a log of it stays short.</summary>
internal static class CheckDisplay
{
    private const int PercentPerLine = 5;

    public static async Task<CheckReport> RunAsync(TextWriter error, Func<IProgress<CheckProgress>, Task<CheckReport>> work)
    {
        if (!ReferenceEquals(error, Console.Error) || Console.IsErrorRedirected) return await work(new Lines(error));
        var console = AnsiConsole.Create(new AnsiConsoleSettings { Out = new AnsiConsoleOutput(error) });
        if (!console.Profile.Capabilities.Interactive) return await work(new Lines(error));
        return await console.Progress()
            .Columns(new TaskDescriptionColumn { Alignment = Justify.Left }, new ProgressBarColumn(), new PercentageColumn(), new RemainingTimeColumn())
            .StartAsync(context => work(new Bar(context.AddTask("Checking"))));
    }

    private sealed class Lines(TextWriter error) : IProgress<CheckProgress>
    {
        private long _shown;

        public void Report(CheckProgress value)
        {
            var percent = value.SegmentsTotal == 0 ? 100 : value.Segments * 100 / value.SegmentsTotal;
            var shown = Interlocked.Read(ref _shown);
            if (percent < shown + PercentPerLine || Interlocked.CompareExchange(ref _shown, percent, shown) != shown) return;
            lock (error) error.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{percent,3} %: {value.Segments} of {value.SegmentsTotal} segments, {ByteSize.Format(value.Bytes)} read"));
        }
    }

    private sealed class Bar(ProgressTask bar) : IProgress<CheckProgress>
    {
        public void Report(CheckProgress value)
        {
            if (value.SegmentsTotal == 0) return;
            bar.MaxValue = value.SegmentsTotal;
            bar.Value = value.Segments;
            bar.Description = $"Checking, {ByteSize.Format(value.Bytes)} read";
        }
    }
}
