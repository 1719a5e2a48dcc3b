using System.Text;

namespace Gateway.Tests.Documents;

/// <summary>Writes a manual page in the macros of man(7).</summary>
internal sealed class Roff
{
    private readonly StringBuilder _text = new();

    /// <summary>A title begins a paragraph by itself.</summary>
    private bool _isBelowTitle;

    public Roff(string name, int section, string title)
    {
        _text.Append(".\\\" Made by 'make docs' of the program itself: change it there.\n");
        _text.Append($".TH {Escape(name.ToUpperInvariant())} {section} \"2026-11-28\" \"tcmu\\-gateway\" \"{Escape(title)}\"\n");
    }

    public override string ToString() => _text.ToString();

    public Roff Section(string title) => Line($".SH {title}");

    /// <summary>What stands right below a title.</summary>
    public Roff Text(string text) => Line(Escaped(text));

    public Roff Subsection(string title) => Line($".SS {Quote(title)}");

    public Roff Paragraph(string text) => NewParagraph().Line(Escaped(text));

    /// <summary>A term, in bold, with what it means.</summary>
    public Roff Item(string term, string text) => Line(".TP").Line($".B {Quote(term)}").Line(Escaped(text));

    /// <summary>Lines as they are.</summary>
    public Roff Example(params string[] lines)
    {
        NewParagraph().Line(".nf").Line(".RS 4");
        foreach (var line in lines) Line(Escaped(line));
        return Line(".RE").Line(".fi");
    }

    /// <summary>One sentence a line, as roff wants it, is not needed: it fills lines by itself.</summary>
    private static string Escaped(string text)
    {
        var escaped = Escape(text.Length == 0 ? "\\&" : text);
        return escaped[0] is '.' or '\'' ? "\\&" + escaped : escaped;
    }

    private static string Quote(string text) => $"\"{Escape(text).Replace("\"", "\\(dq", StringComparison.Ordinal)}\"";

    private static string Escape(string text)
    {
        var escaped = new StringBuilder(text.Length + 16);
        foreach (var c in text)
        {
            escaped.Append(c switch
            {
                '\\' => "\\e",
                '-' => "\\-",
                '~' => "\\(ti",
                '^' => "\\(ha",
                '…' => "...",
                'µ' => "\\(mc",
                _ => c.ToString(),
            });
        }

        return escaped.ToString();
    }

    private Roff NewParagraph() => _isBelowTitle ? this : Line(".PP");

    private Roff Line(string line)
    {
        _isBelowTitle = line.StartsWith(".SH", StringComparison.Ordinal);
        _text.Append(line).Append('\n');
        return this;
    }
}
