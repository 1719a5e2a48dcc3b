namespace Gateway.Backends.Core;

/// <summary>The name of a blob below its store's root: path segments of <c>[A-Za-z0-9._-]</c> joined by '/', at most 512 characters.</summary>
/// <remarks>No segment is empty, "." or "..", so that a key can never leave its root, whatever the store makes of it.</remarks>
public readonly record struct BlobKey : IComparable<BlobKey>
{
    /// <summary>Longest key in characters (S3 allows 1,024 bytes; the rest is left to prefixes).</summary>
    public const int LengthMax = 512;

    private readonly string? _value;

    /// <exception cref="ArgumentException">The text is not a valid key.</exception>
    public BlobKey(string value)
    {
        if (!IsValid(value)) throw new ArgumentException($"'{value}' is not a valid blob key.", nameof(value));
        _value = value;
    }

    private BlobKey(string value, bool _) => _value = value;

    public string Value => _value ?? throw new InvalidOperationException("A default BlobKey names nothing.");

    /// <summary>A key for what a listing returned; false if it is not one that this project could have made.</summary>
    public static bool TryCreate(string value, out BlobKey key)
    {
        key = IsValid(value) ? new BlobKey(value, true) : default;
        return key._value is not null;
    }

    public static bool IsValid(string? value)
    {
        if (value is not { Length: > 0 and <= LengthMax }) return false;
        foreach (var segment in value.AsSpan().Split('/'))
        {
            var part = value.AsSpan(segment);
            if (part.Length == 0 || part is "." or "..") return false;
            foreach (var c in part)
                if (!char.IsAsciiLetterOrDigit(c) && c is not ('.' or '_' or '-')) return false;
        }

        return true;
    }

    public int CompareTo(BlobKey other) => string.CompareOrdinal(_value, other._value);

    public static bool operator <(BlobKey left, BlobKey right) => left.CompareTo(right) < 0;

    public static bool operator >(BlobKey left, BlobKey right) => left.CompareTo(right) > 0;

    public static bool operator <=(BlobKey left, BlobKey right) => left.CompareTo(right) <= 0;

    public static bool operator >=(BlobKey left, BlobKey right) => left.CompareTo(right) >= 0;

    public override string ToString() => _value ?? "";
}
