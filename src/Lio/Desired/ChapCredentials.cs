namespace Gateway.Lio;

/// <summary>A CHAP secret. Never shown: not by <see cref="ToString"/>, not in plans, messages or logs.</summary>
public sealed class ChapSecret(string value) : IEquatable<ChapSecret>
{
    /// <summary>Fewest characters: 96 bits, RFC 7143 9.2.1; some initiators accept no shorter one.</summary>
    public const int LengthMin = 12;

    /// <summary>Most characters: LIO keeps 256 bytes with a zero at the end.</summary>
    public const int LengthMax = 255;

    private readonly string _value = value;

    /// <summary>The length in characters.</summary>
    public int Length => _value.Length;

    public bool Equals(ChapSecret? other) => other is not null && other._value == _value;

    public override bool Equals(object? obj) => Equals(obj as ChapSecret);

    public override int GetHashCode() => _value.GetHashCode(StringComparison.Ordinal);

    public override string ToString() => "(secret)";

    /// <summary>The text, for the kernel alone.</summary>
    internal string Reveal() => _value;
}

/// <summary>What an initiator proves itself with and, if mutual, the target to it. All ASCII, printable.</summary>
public sealed record ChapCredentials
{
    /// <summary>The user that the initiator names: 1 to 255 characters, not beginning with "NULL", which LIO takes for "none".</summary>
    public required string User { get; init; }

    /// <summary>The initiator's secret, <see cref="ChapSecret.LengthMin"/> to <see cref="ChapSecret.LengthMax"/> characters.</summary>
    public required ChapSecret Secret { get; init; }

    /// <summary>The user that the target names; given together with <see cref="MutualSecret"/>, or null.</summary>
    public string? MutualUser { get; init; }

    /// <summary>The target's secret; must differ from <see cref="Secret"/>.</summary>
    public ChapSecret? MutualSecret { get; init; }
}
