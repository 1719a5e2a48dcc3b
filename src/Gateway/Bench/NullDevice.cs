using Gateway.Scsi;

namespace Gateway.Bench;

/// <summary>A device that keeps nothing: reads fill the buffer with zeroes, all else succeeds at once. What is measured over it is the way to it.</summary>
internal sealed class NullDevice(long sizeBytes, int blockBytes) : IBlockDevice
{
    private static readonly Guid Id = new("00000000-0000-4000-8000-00006e756c6c");

    public BlockGeometry Geometry { get; } = new(Id, (ulong)(sizeBytes / blockBytes), blockBytes, Math.Max(blockBytes, 4096));

    public BlockResult Readiness => BlockResult.Success;

    public ValueTask<BlockResult> ReadAsync(BlockRange range, ScatterList destination, CancellationToken cancellationToken)
    {
        destination.Clear(0, destination.LengthBytes);
        return new(BlockResult.Success);
    }

    public ValueTask<BlockResult> WriteAsync(BlockRange range, ScatterList source, bool forceUnitAccess, CancellationToken cancellationToken) => new(BlockResult.Success);

    public ValueTask<BlockResult> ZeroAsync(BlockRange range, bool forceUnitAccess, CancellationToken cancellationToken) => new(BlockResult.Success);

    public ValueTask<BlockResult> FlushAsync(CancellationToken cancellationToken) => new(BlockResult.Success);
}
