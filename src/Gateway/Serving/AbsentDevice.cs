using Gateway.Scsi;

namespace Gateway.Serving;

/// <summary>A volume that another gateway serves, or that is not open yet: its shape is known, and every operation ends with the reason.</summary>
/// <param name="geometry">The volume's, as far as it is known: it may have grown where it is served.</param>
/// <param name="reason">Why it is not served here, at the moment.</param>
internal sealed class AbsentDevice(Func<BlockGeometry> geometry, Func<BlockError> reason) : IBlockDevice
{
    public BlockGeometry Geometry => geometry();

    public BlockResult Readiness => reason();

    public ValueTask<BlockResult> ReadAsync(BlockRange range, ScatterList destination, CancellationToken cancellationToken) => new(reason());

    public ValueTask<BlockResult> WriteAsync(BlockRange range, ScatterList source, bool forceUnitAccess, CancellationToken cancellationToken) => new(reason());

    public ValueTask<BlockResult> ZeroAsync(BlockRange range, bool forceUnitAccess, CancellationToken cancellationToken) => new(reason());

    public ValueTask<BlockResult> FlushAsync(CancellationToken cancellationToken) => new(reason());
}
