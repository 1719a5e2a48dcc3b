using System.Globalization;
using System.Text;

namespace Gateway.Tests.Shared.Monitoring;

/// <summary>Something that operators should, or may, hear of. Times are seconds since 1970.</summary>
/// <param name="Row">What it is a part of.</param>
/// <param name="Name">In a word or two.</param>
/// <param name="LeastSeconds">If it is over before, nobody need be told.</param>
/// <param name="Must">Alerts that must fire within <see cref="AlertTimeline.FiresWithin"/> of its beginning.</param>
/// <param name="May">Alerts that may fire, then or in its wake.</param>
public sealed record AlertCondition(string Row, string Name, double From, double To, double LeastSeconds, IReadOnlyList<string> Must, IReadOnlyList<string> May);

/// <summary>A row of a run.</summary>
public sealed record TimelineRow(string Name, double From, double To);

/// <summary>One alert, from when to when it fired.</summary>
/// <param name="Subject">The volume, store or gateway that it was about.</param>
public sealed record AlertFiring(string Alert, string Subject, double From, double To);

/// <summary>Whether the alerts that should fire did, in time, and no others: the verdict on a run, and its picture.</summary>
public sealed class AlertTimeline(IReadOnlyList<TimelineRow> rows, IReadOnlyList<AlertCondition> conditions, IReadOnlyList<AlertFiring> firings)
{
    /// <summary>An operator is told within this time, in seconds.</summary>
    public const double FiresWithin = 60;

    /// <summary>An alert that begins so much later than its condition ended has nothing to do with it, in seconds: a scrape and an evaluation take their time.</summary>
    public const double Grace = 20;

    /// <summary>The same for those that judge a window of time.</summary>
    public const double GraceOfWindows = 300;

    private const int Columns = 100;

    public IReadOnlyList<TimelineRow> Rows => rows;

    public IReadOnlyList<AlertCondition> Conditions => conditions;

    public IReadOnlyList<AlertFiring> Firings => firings;

    /// <summary>Alerts that are shown and may fire at any time: in an emulated machine how long commands take says nothing about the gateway.</summary>
    public IReadOnlyList<string> NotJudged { get; init; } = [];

    /// <summary>What is wrong, in words; nothing if all is as it should be.</summary>
    public IReadOnlyList<string> Problems =>
    [
        .. from c in conditions
           where c.To - c.From >= c.LeastSeconds
           from alert in c.Must
           where FiredAfter(c, alert) is not <= FiresWithin
           select FiredAfter(c, alert) is { } late
               ? string.Create(CultureInfo.InvariantCulture, $"{c.Row}: {alert} fires {late:0.0} s after '{c.Name}' began; {FiresWithin:0} s is the limit.")
               : $"{c.Row}: {alert} does not fire, though '{c.Name}'.",
        .. from f in firings
           where !NotJudged.Contains(f.Alert) && !conditions.Any(c => Explains(c, f))
           select string.Create(CultureInfo.InvariantCulture, $"{RowAt(f.From) ?? "between the rows"}: {f.Alert} ({f.Subject}) fires for {f.To - f.From:0} s, without a cause."),
    ];

    /// <summary>How long after the beginning of the condition an alert fired, in seconds: 0 if it did so already; null if it did not before the end.</summary>
    public double? FiredAfter(AlertCondition condition, string alert)
    {
        var times = firings.Where(f => f.Alert == alert && f.To >= condition.From && f.From <= condition.To + Grace).Select(f => Math.Max(0, f.From - condition.From)).ToArray();
        return times.Length == 0 ? null : times.Min();
    }

    /// <summary>The row at a moment, or null.</summary>
    public string? RowAt(double at) => rows.FirstOrDefault(r => r.From <= at && at <= r.To)?.Name;

    /// <summary>Row by row: what happened, what fired, and what is wrong; and below it one line for each alert, over all of the run.</summary>
    public override string ToString()
    {
        var text = new StringBuilder();
        foreach (var row in rows)
        {
            text.AppendLine(CultureInfo.InvariantCulture, $"  {row.Name}, {row.To - row.From:0} s");
            foreach (var c in conditions.Where(c => c.Row == row.Name)) Describe(text, row, c);
            if (!conditions.Any(c => c.Row == row.Name) && !firings.Any(f => f.From >= row.From && f.From <= row.To)) text.AppendLine("    nothing to tell, and no alert");
        }

        Draw(text);
        foreach (var problem in Problems) text.AppendLine(CultureInfo.InvariantCulture, $"  ✘ {problem}");
        if (Problems.Count == 0) text.AppendLine("  ✔ every alert that should fire did so in time, and no other fired");
        return text.ToString();
    }

    private static bool Explains(AlertCondition condition, AlertFiring firing) =>
        firing.From >= condition.From
        && ((condition.Must.Contains(firing.Alert) && firing.From <= condition.To + Grace) || (condition.May.Contains(firing.Alert) && firing.From <= condition.To + GraceOfWindows));

    private void Describe(StringBuilder text, TimelineRow row, AlertCondition condition)
    {
        text.Append(CultureInfo.InvariantCulture, $"    {condition.From - row.From,5:0} to {condition.To - row.From,4:0} s  {condition.Name}: ");
        var told = condition.Must.Concat(condition.May).Select(a => FiredAfter(condition, a) is { } after
            ? string.Create(CultureInfo.InvariantCulture, $"{a} after {after:0} s")
            : !condition.Must.Contains(a) ? null : condition.To - condition.From >= condition.LeastSeconds ? $"{a} MISSING" : $"over before {a}").OfType<string>().ToArray();
        text.AppendLine(told.Length == 0 ? "no alert" : string.Join(", ", told));
    }

    private void Draw(StringBuilder text)
    {
        if (rows.Count == 0) return;
        var (from, to) = (rows.Min(r => r.From), Math.Max(rows.Max(r => r.To), firings.Select(f => f.To).DefaultIfEmpty().Max()));
        var width = firings.Select(f => f.Alert.Length).Append("what happened".Length).Max();
        Line("rows", rows.Select(r => (r.From, r.To)), '─');
        Line("what happened", conditions.Select(c => (c.From, c.To)), '▒');
        foreach (var alert in firings.GroupBy(f => f.Alert).OrderBy(g => g.Min(f => f.From))) Line(alert.Key, alert.Select(f => (f.From, f.To)), '█');
        text.AppendLine(string.Create(CultureInfo.InvariantCulture, $"  {"".PadRight(width)} 0 s{"".PadRight(Columns - 10)}{to - from,6:0} s"));

        void Line(string name, IEnumerable<(double From, double To)> spans, char mark)
        {
            var cells = Enumerable.Repeat(' ', Columns).ToArray();
            foreach (var (start, end) in spans)
            {
                var (first, last) = (Cell(start), Cell(end));
                for (var i = first; i <= last; i++) cells[i] = mark;
                if (mark == '─') cells[first] = '├';
            }

            text.AppendLine(CultureInfo.InvariantCulture, $"  {name.PadRight(width)} {new string(cells).TrimEnd()}");
        }

        int Cell(double at) => Math.Clamp((int)((at - from) / Math.Max(1, to - from) * (Columns - 1)), 0, Columns - 1);
    }
}
