using System.Reflection;
using System.Text.RegularExpressions;

namespace Gateway.Tests.Documents;

/// <summary>The summaries of settings, from the source: in each file that holds some, what stands above a property of a record.</summary>
internal sealed partial class DocComments
{
    private readonly Dictionary<(string Type, string Property), string> _summaries = [];

    public DocComments(params IEnumerable<string> files)
    {
        foreach (var file in files) Read(File.ReadLines(file));
    }

    /// <summary>The summary of a property in one line; empty if it has none.</summary>
    public string Of(PropertyInfo property) => _summaries.GetValueOrDefault((property.DeclaringType!.Name, property.Name), "");

    private void Read(IEnumerable<string> lines)
    {
        var (type, comment) = ("", "");
        foreach (var line in lines.Select(l => l.Trim()))
        {
            if (line.StartsWith("///", StringComparison.Ordinal)) comment += " " + line[3..];
            else if (line.StartsWith('[') && Property().Match(line) is { Success: false }) continue; // Attributes stand between the two.
            else
            {
                if (TypeName().Match(line) is { Success: true } declared) type = declared.Groups[1].Value;
                else if (Property().Match(line) is { Success: true } property && Summary().Match(comment) is { Success: true } summary) _summaries[(type, property.Groups[1].Value)] = Plain(summary.Groups[1].Value);
                comment = "";
            }
        }
    }

    /// <summary>Without markup: a reference is the name of the setting that it points at.</summary>
    private static string Plain(string summary)
    {
        var text = Reference().Replace(summary, m => char.ToLowerInvariant(m.Groups[1].Value[0]) + m.Groups[1].Value[1..]);
        return Spaces().Replace(text.Replace("&lt;", "<", StringComparison.Ordinal).Replace("&gt;", ">", StringComparison.Ordinal).Replace("&amp;", "&", StringComparison.Ordinal), " ").Trim();
    }

    [GeneratedRegex(@"\b(?:record|class) (\w+)")]
    private static partial Regex TypeName();

    [GeneratedRegex(@"public [\w<>?, .]+ (\w+) \{ get; (?:set|init);")]
    private static partial Regex Property();

    [GeneratedRegex("<summary>(.*?)</summary>")]
    private static partial Regex Summary();

    [GeneratedRegex("""<see cref="(?:\w+\.)*(\w+)" ?/>""")]
    private static partial Regex Reference();

    [GeneratedRegex(@"\s+")]
    private static partial Regex Spaces();
}
