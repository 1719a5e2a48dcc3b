namespace Gateway.Volumes.Checking;

/// <summary>How much a finding matters.</summary>
public enum CheckSeverity
{
    /// <summary>Nothing is wrong with the volume: something that nobody needs lies in its prefix, say.</summary>
    Note = 0,

    /// <summary>No data is lost, but something that is written twice differs, or a safety margin is gone.</summary>
    Warning,

    /// <summary>Blocks cannot be read.</summary>
    Damage,
}

/// <summary>One thing that a check found.</summary>
/// <param name="Severity">How much it matters.</param>
/// <param name="Blob">The blob it is about, or empty.</param>
/// <param name="Message">What it is, and what to do.</param>
public sealed record CheckFinding(CheckSeverity Severity, string Blob, string Message);

/// <summary>Blocks that cannot be read.</summary>
/// <param name="Lba">First logical block.</param>
/// <param name="Blocks">Number of blocks.</param>
/// <param name="Reason">Why.</param>
public sealed record DamagedRange(ulong Lba, ulong Blocks, string Reason);

/// <summary>How far a check is.</summary>
/// <param name="Segments">Segments checked.</param>
/// <param name="SegmentsTotal">Segments there are.</param>
/// <param name="Bytes">Bytes read.</param>
public readonly record struct CheckProgress(long Segments, long SegmentsTotal, long Bytes);

/// <summary>What a check of a volume found in its bucket.</summary>
/// <param name="Volume">Name.</param>
/// <param name="Checkpoint">The checkpoint it started from, or "none".</param>
/// <param name="Position">The last segment of the valid log.</param>
/// <param name="Segments">Segments checked.</param>
/// <param name="Frames">Frames read and proved.</param>
/// <param name="MappedBytes">Bytes of the volume that have data.</param>
/// <param name="StoredBytes">Bytes of its segments and of its map.</param>
/// <param name="Findings">What was found, worst first.</param>
/// <param name="Damaged">Blocks that cannot be read, in order.</param>
public sealed record CheckReport(
    string Volume,
    string Checkpoint,
    string Position,
    long Segments,
    long Frames,
    long MappedBytes,
    long StoredBytes,
    IReadOnlyList<CheckFinding> Findings,
    IReadOnlyList<DamagedRange> Damaged)
{
    /// <summary>True if nothing worse than notes was found.</summary>
    public bool IsClean => Findings.All(f => f.Severity == CheckSeverity.Note) && Damaged.Count == 0;
}
