using System.Globalization;
using Gateway.Scsi;

namespace Gateway.Transfer;

/// <summary>A block device as bytes, for somebody who waits out a store that is away. Positions and lengths are multiples of the block length.</summary>
internal sealed class VolumeIo(IBlockDevice device, string name, Action<string> waits)
{
    public int BlockBytes { get; } = device.Geometry.BlockLengthBytes;

    public long SizeBytes { get; } = (long)device.Geometry.CapacityBlocks * device.Geometry.BlockLengthBytes;

    /// <exception cref="Volumes.VolumeException">The volume cannot go on here.</exception>
    public Task ReadAsync(long position, PieceBuffer buffer, int length, CancellationToken cancellationToken) =>
        RepeatAsync(() => device.ReadAsync(Range(position, length), buffer.List(length), cancellationToken), cancellationToken);

    /// <inheritdoc cref="ReadAsync"/>
    public Task WriteAsync(long position, PieceBuffer buffer, int length, CancellationToken cancellationToken) =>
        RepeatAsync(() => device.WriteAsync(Range(position, length), buffer.List(length), false, cancellationToken), cancellationToken);

    /// <summary>Brings everything that was written to where it stays.</summary>
    /// <inheritdoc cref="ReadAsync"/>
    public Task FlushAsync(CancellationToken cancellationToken) => RepeatAsync(() => device.FlushAsync(cancellationToken), cancellationToken);

    private async Task RepeatAsync(Func<ValueTask<BlockResult>> operation, CancellationToken cancellationToken)
    {
        while (true)
        {
            var result = await operation();
            cancellationToken.ThrowIfCancellationRequested();
            switch (result.Error)
            {
                case BlockError.None:
                    return;
                case BlockError.StoreUnavailable or BlockError.JournalFull or BlockError.BecomingReady:
                    waits($"the store of volume '{name}' does not take or give anything at the moment ({result.Error}); trying again"); // Each try takes as long as a command may.
                    break;
                case BlockError.Corrupt:
                    throw new Volumes.VolumeException(
                        Volumes.VolumeErrorKind.Damaged,
                        string.Create(CultureInfo.InvariantCulture, $"Volume '{name}' cannot be read at LBA {result.Lba}: what is stored there fails its check. 'tcmu-gateway volume check' tells more."));
                default:
                    throw new Volumes.VolumeException(
                        result.Error is BlockError.Standby or BlockError.HandingOver ? Volumes.VolumeErrorKind.Fenced : Volumes.VolumeErrorKind.LocalDisk,
                        $"Volume '{name}' was taken over or failed meanwhile ({result.Error}).");
            }
        }
    }

    private BlockRange Range(long position, int length) => new((ulong)(position / BlockBytes), (uint)(length / BlockBytes));
}
