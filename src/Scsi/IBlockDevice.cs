namespace Gateway.Scsi;

/// <summary>A run of logical blocks.</summary>
/// <param name="Lba">First logical block address.</param>
/// <param name="Blocks">Number of logical blocks; 0 is a valid, empty range.</param>
public readonly record struct BlockRange(ulong Lba, uint Blocks)
{
    /// <summary>The address after the last block. Meaningful once the range was checked against a capacity.</summary>
    public ulong End => Lba + Blocks;

    /// <summary>True if every block lies below <paramref name="capacityBlocks"/>; overflow-safe for hostile values.</summary>
    public bool FitsIn(ulong capacityBlocks) => Lba <= capacityBlocks && Blocks <= capacityBlocks - Lba;

    public override string ToString() => $"LBA {Lba}+{Blocks}";
}

/// <summary>What does not change while a device is open (but for its capacity, which grows by a resize).</summary>
/// <param name="Id">Identity that survives renames and moves between gateways: NAA name, unit serial.</param>
/// <param name="CapacityBlocks">Number of logical blocks.</param>
/// <param name="BlockLengthBytes">Logical block length: 512 or 4,096.</param>
/// <param name="PhysicalBlockLengthBytes">Physical block length, a power-of-two multiple of the logical one.</param>
public readonly record struct BlockGeometry(Guid Id, ulong CapacityBlocks, int BlockLengthBytes, int PhysicalBlockLengthBytes);

/// <summary>Why a block device did not do what was asked. <c>SenseMapping</c> says what an initiator sees of each.</summary>
public enum BlockError
{
    None = 0,

    /// <summary>The volume is being opened: it will be ready without anyone's help.</summary>
    BecomingReady,

    /// <summary>The object store is away, slow or throttling.</summary>
    StoreUnavailable,

    /// <summary>The journal is full because the store does not take segments.</summary>
    JournalFull,

    /// <summary>The volume is offline and needs a person: local disk failing, credentials refused for long.</summary>
    Offline,

    /// <summary>Ownership is being handed over to another gateway.</summary>
    HandingOver,

    /// <summary>Another gateway owns the volume and serves it.</summary>
    Standby,

    /// <summary>This gateway has given up serving for now, since its store is away for long: another path may serve.</summary>
    PathUnavailable,

    /// <summary>Writes are refused: nobody owns the volume, or its store is away for long. Reads are served.</summary>
    WriteProtected,

    /// <summary>Stored data failed its check or is missing; <see cref="BlockResult.Lba"/> says where.</summary>
    Corrupt,

    /// <summary>Quota or thin pool exhausted.</summary>
    SpaceExhausted,

    /// <summary>Cancelled by task management before it took effect.</summary>
    Aborted,
}

/// <summary>The outcome of a block operation: a value, since an initiator is told it as sense data.</summary>
/// <param name="Error">None, or what went wrong.</param>
/// <param name="Lba">For <see cref="BlockError.Corrupt"/>: the first block that cannot be read.</param>
public readonly record struct BlockResult(BlockError Error, ulong? Lba = null)
{
    public static readonly BlockResult Success = new(BlockError.None);

    public bool IsSuccess => Error == BlockError.None;

    public static implicit operator BlockResult(BlockError error) => new(error);

    public static BlockResult FromBlockError(BlockError error) => new(error);
}

/// <summary>A random-access array of logical blocks. Thread safe; operations on the same blocks at the same time have no defined order.</summary>
/// <remarks>
/// Ranges are inside the capacity and buffers are exactly as long as their range: the SCSI layer has checked both.
/// A completed write is seen by every read that starts after it. A buffer belongs to the device until the operation completes.
/// Failures of the medium, the store or ownership are results; exceptions are bugs. Cancellation gives <see cref="BlockError.Aborted"/>,
/// and only if the operation has had and will have no effect.
/// </remarks>
public interface IBlockDevice
{
    /// <summary>The device's present shape.</summary>
    BlockGeometry Geometry { get; }

    /// <summary>Whether media commands can be served now; what TEST UNIT READY answers.</summary>
    BlockResult Readiness { get; }

    /// <summary>Fills <paramref name="destination"/> with the range's bytes; blocks never written read as zeroes.</summary>
    ValueTask<BlockResult> ReadAsync(BlockRange range, ScatterList destination, CancellationToken cancellationToken);

    /// <summary>Writes the range. It survives what a flush survives only after a flush, or at completion when <paramref name="forceUnitAccess"/>.</summary>
    ValueTask<BlockResult> WriteAsync(BlockRange range, ScatterList source, bool forceUnitAccess, CancellationToken cancellationToken);

    /// <summary>Makes the range read as zeroes and gives its space back (UNMAP, WRITE SAME of zeroes).</summary>
    ValueTask<BlockResult> ZeroAsync(BlockRange range, bool forceUnitAccess, CancellationToken cancellationToken);

    /// <summary>Completes when everything that completed before it was called is durable.</summary>
    ValueTask<BlockResult> FlushAsync(CancellationToken cancellationToken);
}
