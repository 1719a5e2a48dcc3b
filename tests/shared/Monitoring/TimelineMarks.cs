using System.Globalization;

namespace Gateway.Tests.Shared.Monitoring;

/// <summary>Reads what a run told of itself, one line a mark, with its moment in milliseconds since 1970 before it.</summary>
/// <remarks>
/// <c>MS row NAME</c> begins a row; <c>MS begin NAME least=S must=A+B may=C</c> begins a condition in it, with the alerts that must (if it lasts S seconds) and may fire; <c>MS end</c> ends the condition,
/// and <c>MS done</c> the run. A row ends where the next one begins, and its condition with it.
/// </remarks>
public static class TimelineMarks
{
    /// <exception cref="FormatException">A line is none of these.</exception>
    public static (IReadOnlyList<TimelineRow> Rows, IReadOnlyList<AlertCondition> Conditions) Parse(IEnumerable<string> lines)
    {
        var rows = new List<TimelineRow>();
        var conditions = new List<AlertCondition>();
        TimelineRow? row = null;
        AlertCondition? condition = null;
        foreach (var line in lines)
        {
            var words = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
            if (words.Length < 2 || !long.TryParse(words[0], NumberStyles.None, CultureInfo.InvariantCulture, out var milliseconds)) throw new FormatException($"'{line}' is no mark.");
            var at = milliseconds / 1000.0;
            switch (words[1..])
            {
                case ["row", var name]:
                    EndRow(at);
                    row = new TimelineRow(name, at, at);
                    break;
                case ["begin", .. var name, var least, var must, var may] when row is not null && least.StartsWith("least=", StringComparison.Ordinal) && must.StartsWith("must=", StringComparison.Ordinal) && may.StartsWith("may=", StringComparison.Ordinal):
                    End(at);
                    condition = new AlertCondition(row.Name, string.Join(' ', name), at, at, double.Parse(Value(least), CultureInfo.InvariantCulture), Names(must), Names(may));
                    break;
                case ["end"]:
                    End(at);
                    break;
                case ["done"]:
                    EndRow(at);
                    break;
                default:
                    throw new FormatException($"'{line}' is no mark.");
            }
        }

        return (rows, conditions);

        void End(double at)
        {
            if (condition is not null) conditions.Add(condition with { To = at });
            condition = null;
        }

        void EndRow(double at)
        {
            End(at);
            if (row is not null) rows.Add(row with { To = at });
            row = null;
        }
    }

    private static string Value(string word) => word[(word.IndexOf('=', StringComparison.Ordinal) + 1)..];

    private static string[] Names(string word) => Value(word).Split('+', StringSplitOptions.RemoveEmptyEntries);
}
