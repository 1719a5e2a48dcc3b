using System.Globalization;
using Gateway.Backends.Core;

namespace Gateway.Volumes.Formats;

/// <summary>The names of one volume's blobs, all in one folder: the name that it was created with, which stays when it is renamed. Numbers are decimal with leading zeroes, so that a listing is in order.</summary>
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

    public string MapPrefix => Prefix + "map/";

    public string CheckpointPrefix => Prefix + "checkpoints/";

    /// <summary>Planned: names for checkpoints.</summary>
    public string SnapshotPrefix => Prefix + "snapshots/";

    public string ReleasePrefix => Prefix + "releases/";

    /// <summary>Records of which folder's volume has this folder's name: <see cref="AliasRecord"/>. They belong to that volume, not to the one here.</summary>
    public string AliasPrefix => Prefix + "alias/";

    public BlobKey HeartbeatKey => new(Prefix + "heartbeat");

    public BlobKey HandoverKey => new(Prefix + "handover");

    public BlobKey ImportKey => new(Prefix + "import");

    public BlobKey Record(long number) => new(RecordPrefix + Number(number, EpochDigits));

    public BlobKey Epoch(long epoch) => new(EpochPrefix + Number(epoch, EpochDigits));

    public BlobKey Takeover(long epoch) => new(TakeoverPrefix + Number(epoch, EpochDigits));

    public BlobKey Alias(long number) => new(AliasPrefix + Number(number, EpochDigits));

    public BlobKey Release(long epoch) => new(ReleasePrefix + Number(epoch, EpochDigits));

    public BlobKey Segment(SegmentId id) => new(LogPrefix + Pair(id.Epoch, id.Sequence));

    public BlobKey MapBlob(MapBlobId id) => new(MapPrefix + Pair(id.Epoch, id.Number));

    public BlobKey Checkpoint(CheckpointId id) => new(CheckpointPrefix + Pair(id.Epoch, id.Number));

    /// <summary>True for the folders of a volume that this version knows.</summary>
    public bool IsFolder(string folder) =>
        folder == RecordPrefix || folder == EpochPrefix || folder == TakeoverPrefix || folder == LogPrefix || folder == MapPrefix || folder == CheckpointPrefix || folder == ReleasePrefix || folder == AliasPrefix;

    /// <summary>True for a blob below this folder that is in one of those, or that this version puts directly into it.</summary>
    public bool IsOurs(string blob) =>
        blob == HeartbeatKey.Value || blob == HandoverKey.Value || blob == ImportKey.Value || (blob.IndexOf('/', Prefix.Length) is var slash and > 0 && IsFolder(blob[..(slash + 1)]));

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
        var valid = TryParsePair(name, out var epoch, out var sequence);
        id = valid ? new SegmentId(epoch, sequence) : default;
        return valid;
    }

    public static bool TryParseMapBlob(ReadOnlySpan<char> name, out MapBlobId id)
    {
        var valid = TryParsePair(name, out var epoch, out var number);
        id = valid ? new MapBlobId(epoch, number) : default;
        return valid;
    }

    public static bool TryParseCheckpoint(ReadOnlySpan<char> name, out CheckpointId id)
    {
        var valid = TryParsePair(name, out var epoch, out var number);
        id = valid ? new CheckpointId(epoch, number) : default;
        return valid;
    }

    private static bool TryParsePair(ReadOnlySpan<char> name, out long epoch, out long number)
    {
        (epoch, number) = (0, 0);
        return name.Length == EpochDigits + 1 + SequenceDigits && name[EpochDigits] == '-'
            && TryParse(name[..EpochDigits], EpochDigits, out epoch) && TryParse(name[(EpochDigits + 1)..], SequenceDigits, out number);
    }

    private static bool TryParse(ReadOnlySpan<char> text, int digits, out long number)
    {
        number = 0;
        return text.Length == digits && long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out number) && number > 0;
    }

    private static string Pair(long epoch, long number) => $"{Number(epoch, EpochDigits)}-{Number(number, SequenceDigits)}";

    private static string Number(long value, int digits) => value.ToString("D" + digits.ToString(CultureInfo.InvariantCulture), CultureInfo.InvariantCulture);
}

/// <summary>Names a segment: the epoch that wrote it and its place in the log, from 1 on.</summary>
internal readonly record struct SegmentId(long Epoch, long Sequence)
{
    public override string ToString() => $"{Epoch}-{Sequence}";
}
