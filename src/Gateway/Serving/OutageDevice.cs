using System.Runtime.CompilerServices;
using Gateway.Scsi;

namespace Gateway.Serving;

/// <summary>
/// Between a logical unit and its volume: refuses commands as the policy for long outages has it, and tells reads that the store refuses
/// for good from those that time will help. What the volume itself has to say comes first. Allocates nothing while the store does its work.
/// </summary>
internal sealed class OutageDevice(IBlockDevice inner, OutageWatch watch) : IBlockDevice, IBurstTarget
{
    private readonly IBurstTarget? _bursts = inner as IBurstTarget;

    public BlockGeometry Geometry => inner.Geometry;

    public BlockResult Readiness => Refuse(watch.Verdict);

    public ValueTask<BlockResult> ReadAsync(BlockRange range, ScatterList destination, CancellationToken cancellationToken)
    {
        if (watch.Verdict == BlockError.PathUnavailable) return new(Refuse(BlockError.PathUnavailable));
        var read = inner.ReadAsync(range, destination, cancellationToken);
        return watch.IsRefused ? ExplainAsync(read) : read;
    }

    public ValueTask<BlockResult> WriteAsync(BlockRange range, ScatterList source, bool forceUnitAccess, CancellationToken cancellationToken) =>
        watch.Verdict is var verdict and not BlockError.None ? new(Refuse(verdict)) : inner.WriteAsync(range, source, forceUnitAccess, cancellationToken);

    public ValueTask<BlockResult> ZeroAsync(BlockRange range, bool forceUnitAccess, CancellationToken cancellationToken) =>
        watch.Verdict is var verdict and not BlockError.None ? new(Refuse(verdict)) : inner.ZeroAsync(range, forceUnitAccess, cancellationToken);

    public ValueTask<BlockResult> FlushAsync(CancellationToken cancellationToken) =>
        watch.Verdict == BlockError.PathUnavailable ? new(Refuse(BlockError.PathUnavailable)) : inner.FlushAsync(cancellationToken);

    public void BeginBurst() => _bursts?.BeginBurst();

    public void EndBurst() => _bursts?.EndBurst();

    /// <param name="verdict">Asked for once for each command: the store may be back by now, and the command is refused all the same.</param>
    private BlockResult Refuse(BlockError verdict) => inner.Readiness is { IsSuccess: false } failure ? failure : verdict;

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    private async ValueTask<BlockResult> ExplainAsync(ValueTask<BlockResult> read)
    {
        var result = await read;
        return result.Error == BlockError.StoreUnavailable && watch.NeedsPerson ? BlockError.Offline : result;
    }
}
