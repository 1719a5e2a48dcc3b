using Gateway.Scsi;

namespace Gateway.Tests.Shared;

/// <summary>An <see cref="IBlockDevice"/> in memory, which throws where its caller breaks the contract: ranges, buffer lengths.</summary>
/// <remarks>Allocates nothing per operation unless it is made to complete asynchronously. Thread safe.</remarks>
public sealed class MemoryBlockDevice : IBlockDevice
{
    private readonly Lock _gate = new();
    private readonly byte[] _bytes;

    public MemoryBlockDevice(ulong capacityBlocks, int blockLengthBytes = 512, int physicalBlockLengthBytes = 4096, Guid? id = null)
    {
        _bytes = new byte[checked((int)capacityBlocks * blockLengthBytes)];
        Geometry = new BlockGeometry(
            id ?? new Guid("0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0"), capacityBlocks, blockLengthBytes, physicalBlockLengthBytes);
    }

    public BlockGeometry Geometry { get; set; }

    public BlockResult Readiness { get; set; } = BlockResult.Success;

    /// <summary>What the medium holds, for tests to compare and to prepare.</summary>
    public Span<byte> Bytes => _bytes;

    /// <summary>Every operation suspends before it takes effect.</summary>
    public bool CompleteAsynchronously { get; set; }

    /// <summary>Every operation fails like this, without effect.</summary>
    public BlockResult Failure { get; set; } = BlockResult.Success;

    /// <summary>Operations that still succeed before <see cref="Failure"/> applies.</summary>
    public int SuccessesBeforeFailure { get; set; }

    public int Reads { get; private set; }

    public int Writes { get; private set; }

    public int Zeroes { get; private set; }

    public int Flushes { get; private set; }

    /// <summary>Writes and zeroes with forceUnitAccess.</summary>
    public int Forced { get; private set; }

    public ValueTask<BlockResult> ReadAsync(BlockRange range, ScatterList destination, CancellationToken cancellationToken)
    {
        CheckBuffer(range, destination);
        return CompleteAsynchronously
            ? ReadLaterAsync(range, destination, cancellationToken)
            : new(Read(range, destination, cancellationToken));
    }

    public ValueTask<BlockResult> WriteAsync(BlockRange range, ScatterList source, bool forceUnitAccess, CancellationToken cancellationToken)
    {
        CheckBuffer(range, source);
        return CompleteAsynchronously
            ? WriteLaterAsync(range, source, forceUnitAccess, cancellationToken)
            : new(Write(range, source, forceUnitAccess, cancellationToken));
    }

    public ValueTask<BlockResult> ZeroAsync(BlockRange range, bool forceUnitAccess, CancellationToken cancellationToken)
    {
        CheckRange(range);
        return CompleteAsynchronously
            ? ZeroLaterAsync(range, forceUnitAccess, cancellationToken)
            : new(Zero(range, forceUnitAccess, cancellationToken));
    }

    public ValueTask<BlockResult> FlushAsync(CancellationToken cancellationToken) =>
        CompleteAsynchronously ? FlushLaterAsync(cancellationToken) : new(Flush(cancellationToken));

    // Methods of their own, and no lambdas: those would allocate also when they are not used.
    private async ValueTask<BlockResult> ReadLaterAsync(BlockRange range, ScatterList destination, CancellationToken cancellationToken)
    {
        await Task.Yield();
        return Read(range, destination, cancellationToken);
    }

    private async ValueTask<BlockResult> WriteLaterAsync(
        BlockRange range, ScatterList source, bool forceUnitAccess, CancellationToken cancellationToken)
    {
        await Task.Yield();
        return Write(range, source, forceUnitAccess, cancellationToken);
    }

    private async ValueTask<BlockResult> ZeroLaterAsync(BlockRange range, bool forceUnitAccess, CancellationToken cancellationToken)
    {
        await Task.Yield();
        return Zero(range, forceUnitAccess, cancellationToken);
    }

    private async ValueTask<BlockResult> FlushLaterAsync(CancellationToken cancellationToken)
    {
        await Task.Yield();
        return Flush(cancellationToken);
    }

    private BlockResult Read(BlockRange range, ScatterList destination, CancellationToken cancellationToken)
    {
        lock (_gate)
        {
            if (Fails(cancellationToken, out var failure)) return failure;
            Reads++;
            destination.CopyFrom(0, Slice(range));
            return BlockResult.Success;
        }
    }

    private BlockResult Write(BlockRange range, ScatterList source, bool forceUnitAccess, CancellationToken cancellationToken)
    {
        lock (_gate)
        {
            if (Fails(cancellationToken, out var failure)) return failure;
            Writes++;
            Forced += forceUnitAccess ? 1 : 0;
            source.CopyTo(0, Slice(range));
            return BlockResult.Success;
        }
    }

    private BlockResult Zero(BlockRange range, bool forceUnitAccess, CancellationToken cancellationToken)
    {
        lock (_gate)
        {
            if (Fails(cancellationToken, out var failure)) return failure;
            Zeroes++;
            Forced += forceUnitAccess ? 1 : 0;
            Slice(range).Clear();
            return BlockResult.Success;
        }
    }

    private BlockResult Flush(CancellationToken cancellationToken)
    {
        lock (_gate)
        {
            if (Fails(cancellationToken, out var failure)) return failure;
            Flushes++;
            return BlockResult.Success;
        }
    }

    private bool Fails(CancellationToken cancellationToken, out BlockResult failure)
    {
        failure = cancellationToken.IsCancellationRequested ? BlockError.Aborted : Failure;
        if (failure.IsSuccess) return false;
        return SuccessesBeforeFailure-- <= 0;
    }

    private Span<byte> Slice(BlockRange range) =>
        _bytes.AsSpan((int)range.Lba * Geometry.BlockLengthBytes, (int)range.Blocks * Geometry.BlockLengthBytes);

    private void CheckRange(BlockRange range)
    {
        if (!range.FitsIn(Geometry.CapacityBlocks)) throw new InvalidOperationException($"{range} is past the capacity.");
    }

    private void CheckBuffer(BlockRange range, ScatterList buffer)
    {
        CheckRange(range);
        if (buffer.LengthBytes != (long)range.Blocks * Geometry.BlockLengthBytes)
            throw new InvalidOperationException($"{range} with a buffer of {buffer.LengthBytes} bytes.");
    }
}
