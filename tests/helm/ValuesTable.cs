using System.Text;
using System.Text.Json;
using k8s;

namespace Gateway.Helm.Tests;

/// <summary>The table of values in the chart's README: made of values.yaml, whose comments stand above the values.</summary>
internal static class ValuesTable
{
    private const string Begin = "<!-- values: made of values.yaml by 'make helm-golden' -->";
    private const string End = "<!-- end of values -->";
    private const int IndentSpaces = 2;

    private static readonly JsonSerializerOptions Plain = new() { Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>A row for each value or group of values with a comment. A value without one belongs to the one above, whose default it is a part of.</summary>
    /// <exception cref="InvalidOperationException">A value has neither a comment of its own nor one above.</exception>
    public static string Of(string yaml)
    {
        var values = JsonSerializer.SerializeToElement(KubernetesYaml.Deserialize<Dictionary<string, object>>(yaml));
        var lines = yaml.Split('\n');
        var table = new StringBuilder("| value | default | |\n|---|---|---|\n");
        var path = new List<string>();
        var comment = new List<string>();
        for (var i = 0; i < lines.Length; i++)
        {
            var line = lines[i].TrimStart();
            if (line.StartsWith('#')) comment.Add(line.TrimStart('#').Trim());
            else if (line.Length == 0) comment.Clear(); // A comment on its own is about the file.
            else
            {
                var depth = (lines[i].Length - line.Length) / IndentSpaces;
                path.RemoveRange(depth, path.Count - depth);
                path.Add(line[..line.IndexOf(':', StringComparison.Ordinal)]);
                var isGroup = IsGroup(lines, i);
                if (comment.Count > 0) table.Append(Row(path, comment, isGroup ? null : Find(values, path)));
                else if (!isGroup && path.Count == 1) throw new InvalidOperationException($"values.yaml: {path[0]} has no comment.");
                comment.Clear();
            }
        }

        return table.ToString();
    }

    /// <summary>The text with the table between its marks.</summary>
    public static string Put(string readme, string table)
    {
        var begin = readme.IndexOf(Begin, StringComparison.Ordinal) + Begin.Length;
        var end = readme.IndexOf(End, StringComparison.Ordinal);
        return $"{readme[..begin]}\n{table}{readme[end..]}";
    }

    private static string Row(List<string> path, List<string> comment, JsonElement? value) =>
        $"| `{string.Join('.', path)}` | {(value is { } v ? $"`{Text(v)}`" : "")} | {string.Join(' ', comment).Replace("|", "\\|", StringComparison.Ordinal)} |\n";

    /// <summary>True if values below have comments of their own.</summary>
    private static bool IsGroup(string[] lines, int index)
    {
        var indent = Indent(lines[index]);
        for (var i = index + 1; i < lines.Length && (lines[i].Length == 0 || Indent(lines[i]) > indent); i++)
            if (lines[i].TrimStart().StartsWith('#')) return true;
        return false;
    }

    private static int Indent(string line) => line.Length - line.TrimStart().Length;

    private static JsonElement Find(JsonElement values, List<string> path) => path.Aggregate(values, (v, key) => v.GetProperty(key));

    private static string Text(JsonElement value) => JsonSerializer.Serialize(value, Plain);
}
