using System.Globalization;
using Gateway.Backends.Core;

namespace Gateway.Volumes.Formats;

/// <summary>The names of one volume's blobs. Numbers are decimal with leading zeroes, so that a listing is in order.</summary>
internal readonly record struct VolumeKeys(string VolumeName)
{
    private const int EpochDigits = 10;
    private const int SequenceDigits = 12;

    public const int NameLengthMax = 63;

    public string Prefix => VolumeName + "/";

    public string RecordPrefix => Prefix + "volume/";

    public string EpochPrefix => Prefix + "epochs/";

    public string TakeoverPrefix => Prefix + "takeovers/";

    public string LogPrefix => Prefix + "log/";

    public BlobKey Record(long number) => new(RecordPrefix + Number(number, EpochDigits));

    public BlobKey Epoch(long epoch) => new(EpochPrefix + Number(epoch, EpochDigits));

    public BlobKey Takeover(long epoch) => new(TakeoverPrefix + Number(epoch, EpochDigits));

    public BlobKey Segment(SegmentId id) => new($"{LogPrefix}{Number(id.Epoch, EpochDigits)}-{Number(id.Sequence, SequenceDigits)}");

    /// <summary>Lower-case letters, digits, '.', '_' and '-', starting with a letter or digit, at most 63 characters.</summary>
    public static bool IsValidName(string? name)
    {
        if (name is not { Length: > 0 and <= NameLengthMax } || !char.IsAsciiLetterOrDigit(name[0])) return false;
        foreach (var c in name)
            if (!char.IsAsciiLetterLower(c) && !char.IsAsciiDigit(c) && c is not ('.' or '_' or '-')) return false;
        return true;
    }

    public static bool TryParseNumber(ReadOnlySpan<char> name, out long number) => TryParse(name, EpochDigits, out number);

    public static bool TryParseSegment(ReadOnlySpan<char> name, out SegmentId id)
    {
        id = default;
        if (name.Length != EpochDigits + 1 + SequenceDigits || name[EpochDigits] != '-') return false;
        if (!TryParse(name[..EpochDigits], EpochDigits, out var epoch) || !TryParse(name[(EpochDigits + 1)..], SequenceDigits, out var sequence)) return false;
        id = new SegmentId(epoch, sequence);
        return true;
    }

    private static bool TryParse(ReadOnlySpan<char> text, int digits, out long number)
    {
        number = 0;
        return text.Length == digits && long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out number) && number > 0;
    }

    private static string Number(long value, int digits) => value.ToString("D" + digits.ToString(CultureInfo.InvariantCulture), CultureInfo.InvariantCulture);
}

/// <summary>Names a segment: the epoch that wrote it and its place in the log, from 1 on.</summary>
internal readonly record struct SegmentId(long Epoch, long Sequence)
{
    public override string ToString() => $"{Epoch}-{Sequence}";
}
