using System.Globalization;
using System.Text.RegularExpressions;
using Gateway.Backends.Core;

namespace Gateway.Transfer.Images;

/// <summary>How the objects of a disk that is cut into chunks are named: a key with the chunk's number in it, in a fixed number of digits.</summary>
/// <param name="Prefix">What stands before the number.</param>
/// <param name="Suffix">What stands after it.</param>
/// <param name="Digits">Digits of the number, with leading zeroes.</param>
/// <param name="IsHex">True if they are hexadecimal, in lower case.</param>
public sealed partial record ChunkLayout(string Prefix, string Suffix, int Digits, bool IsHex)
{
    /// <summary>s3backer's name for its layout: its prefix, then 8 hexadecimal digits (s3backer(1), --prefix).</summary>
    public const string S3Backer = "s3backer";

    /// <summary>The layout of nbdkit's S3 plugin with object-size: its key, '/', then 16 hexadecimal digits (nbdkit-S3-plugin(1)).</summary>
    public const string Nbdkit = "nbdkit";

    /// <summary>The highest number that there can be.</summary>
    public long IndexMax => (long)UInt128.Min(long.MaxValue, Power(IsHex ? 16 : 10, Digits) - 1);

    /// <param name="layout"><see cref="S3Backer"/>, <see cref="Nbdkit"/>, or a key with {x8} (8 hexadecimal digits) or {d8} (8 decimal ones) in place of the number.</param>
    /// <param name="key">For the first two: the prefix, or the key, that the program was given.</param>
    /// <exception cref="ImageException">It is none of these.</exception>
    public static ChunkLayout Parse(string layout, string key)
    {
        var result = layout switch
        {
            S3Backer => new ChunkLayout(key, "", 8, true),
            Nbdkit => new ChunkLayout(key + "/", "", 16, true),
            _ => ParsePattern(layout, key),
        };
        if (!BlobKey.IsValid(result.KeyText(0))) throw new ImageException($"Objects cannot be called '{result.KeyText(0)}'. Names of chunks have letters, digits, '.', '_', '-' and '/'.");
        return result;
    }

    /// <summary>The name of a chunk's object; the number is at most <see cref="IndexMax"/>.</summary>
    public BlobKey Key(long index) => new(KeyText(index));

    /// <summary>The number of the chunk in an object; false: it is no chunk's.</summary>
    public bool TryParse(string name, out long index)
    {
        index = 0;
        return name.Length == Prefix.Length + Digits + Suffix.Length
            && name.StartsWith(Prefix, StringComparison.Ordinal) && name.EndsWith(Suffix, StringComparison.Ordinal)
            && long.TryParse(name.AsSpan(Prefix.Length, Digits), IsHex ? NumberStyles.AllowHexSpecifier : NumberStyles.None, CultureInfo.InvariantCulture, out index)
            && index >= 0 && KeyText(index) == name;
    }

    public override string ToString() => Prefix + (IsHex ? "{x" : "{d") + Digits.ToString(CultureInfo.InvariantCulture) + "}" + Suffix;

    [GeneratedRegex(@"^([^{}]*)\{([xd])([1-9][0-9]?)\}([^{}]*)$", RegexOptions.CultureInvariant)]
    private static partial Regex Pattern();

    private static UInt128 Power(int number, int exponent) => exponent == 0 ? 1 : (UInt128)number * Power(number, exponent - 1);

    private static ChunkLayout ParsePattern(string layout, string key)
    {
        var match = Pattern().Match(layout);
        var isHex = match.Groups[2].Value == "x";
        if (!match.Success || !int.TryParse(match.Groups[3].ValueSpan, NumberStyles.None, CultureInfo.InvariantCulture, out var digits) || digits > (isHex ? 16 : 19))
            throw new ImageException($"'{layout}' is no layout of chunks. Write {S3Backer}, {Nbdkit}, or the names' pattern with the number as {{x8}} (8 hexadecimal digits) or {{d8}} (8 decimal digits).");
        return new ChunkLayout(key + match.Groups[1].Value, match.Groups[4].Value, digits, isHex);
    }

    private string KeyText(long index) => Prefix + index.ToString((IsHex ? "x" : "D") + Digits.ToString(CultureInfo.InvariantCulture), CultureInfo.InvariantCulture) + Suffix;
}
