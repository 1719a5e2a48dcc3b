using System.Globalization;

namespace Gateway.Cli;

/// <summary>Sizes as people write them: <c>1048576</c>, <c>512MiB</c>, <c>1.5TiB</c>, <c>20GB</c>. KiB, MiB, ... are powers of 1,024; kB, MB, ... of 1,000; K, M, G, T alone of 1,024.</summary>
internal static class ByteSize
{
    private static readonly (string Unit, decimal Factor)[] Units =
    [
        ("KIB", 1L << 10), ("MIB", 1L << 20), ("GIB", 1L << 30), ("TIB", 1L << 40),
        ("KB", 1_000), ("MB", 1_000_000), ("GB", 1_000_000_000), ("TB", 1_000_000_000_000),
        ("K", 1L << 10), ("M", 1L << 20), ("G", 1L << 30), ("T", 1L << 40), ("B", 1),
    ];

    /// <summary>Parses a size; false if it is none, negative, not a whole number of bytes, or past 2^63.</summary>
    public static bool TryParse(string text, out long bytes)
    {
        bytes = 0;
        var upper = text.Trim().ToUpperInvariant();
        var (unit, factor) = Array.Find(Units, u => upper.EndsWith(u.Unit, StringComparison.Ordinal));
        var number = unit is null ? upper : upper[..^unit.Length].TrimEnd();
        if (!decimal.TryParse(number, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var value)) return false;
        if (unit is null) factor = 1;
        if (value > long.MaxValue / factor) return false;
        var product = value * factor;
        if (product != decimal.Truncate(product)) return false;
        bytes = (long)product;
        return true;
    }

    /// <summary>Bytes for a person: the largest binary unit, with up to one decimal.</summary>
    public static string Format(long bytes)
    {
        string[] units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
        decimal value = bytes;
        var unit = 0;
        for (; value >= 1024 && unit < units.Length - 1; unit++) value /= 1024;
        return string.Create(CultureInfo.InvariantCulture, $"{value:0.#} {units[unit]}");
    }
}
