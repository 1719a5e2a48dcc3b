using Gateway.Backends.Resilience;
using Gateway.Configuration;
using Gateway.Scsi;
using Microsoft.Extensions.Logging;

namespace Gateway.Serving;

/// <summary>
/// Stands before a volume and knows when its store has been away for so long that initiators are told something else: what the operator has chosen
/// (<see cref="LongOutageAction"/>), and that a person must help if the store refuses us. All of it ends by itself with the first request that succeeds.
/// </summary>
/// <remarks>
/// Looks once a second; a command costs one look at a field. Between the store's answer and the next look commands may still be refused: they are
/// tried again, as everything in the ladder is, but for writes to what has become read-only. Thread safe.
/// </remarks>
internal sealed class OutagePolicyDevice : IBlockDevice, IBurstTarget, IAsyncDisposable
{
    private static readonly TimeSpan Period = TimeSpan.FromSeconds(1);

    private readonly IBlockDevice _inner;
    private readonly IBurstTarget? _bursts;
    private readonly Func<StoreFailure?> _failure;
    private readonly OutagePolicy _policy;
    private readonly string _name;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly ITimer _timer;
    private readonly Lock _gate = new(); // Of looks: one at a time.
    private volatile Stage _stage;

    /// <param name="inner">The volume; not disposed of with this.</param>
    /// <param name="failure">Since when no request to its store has succeeded.</param>
    /// <param name="policy">What to do about it.</param>
    /// <param name="name">The volume's, for the log.</param>
    /// <param name="time">The clock of <paramref name="failure"/>.</param>
    /// <param name="logger">Told when a stage begins and ends.</param>
    public OutagePolicyDevice(IBlockDevice inner, Func<StoreFailure?> failure, OutagePolicy policy, string name, TimeProvider time, ILogger logger)
    {
        _inner = inner;
        _bursts = inner as IBurstTarget;
        _failure = failure;
        _policy = policy;
        _name = name;
        _time = time;
        _logger = logger;
        _timer = time.CreateTimer(static device => ((OutagePolicyDevice)device!).Look(), this, Period, Timeout.InfiniteTimeSpan);
    }

    private enum Stage
    {
        /// <summary>What the volume answers.</summary>
        Normal,

        /// <summary>Reads that miss say that a person must help.</summary>
        Refused,

        ReadOnly,

        Failed,
    }

    public BlockGeometry Geometry => _inner.Geometry;

    public BlockResult Readiness
    {
        get
        {
            var (readiness, stage) = (_inner.Readiness, _stage);
            return readiness.IsSuccess && stage is (Stage.ReadOnly or Stage.Failed) ? ErrorOf(stage) : readiness;
        }
    }

    public ValueTask<BlockResult> ReadAsync(BlockRange range, ScatterList destination, CancellationToken cancellationToken)
    {
        var stage = _stage;
        if (stage == Stage.Failed) return new(BlockError.PathUnavailable);
        var read = _inner.ReadAsync(range, destination, cancellationToken);
        return stage == Stage.Normal ? read : TellOfRefusalAsync(read);
    }

    public ValueTask<BlockResult> WriteAsync(BlockRange range, ScatterList source, bool forceUnitAccess, CancellationToken cancellationToken) =>
        _stage is (Stage.ReadOnly or Stage.Failed) and var stage ? new(ErrorOf(stage)) : _inner.WriteAsync(range, source, forceUnitAccess, cancellationToken);

    public ValueTask<BlockResult> ZeroAsync(BlockRange range, bool forceUnitAccess, CancellationToken cancellationToken) =>
        _stage is (Stage.ReadOnly or Stage.Failed) and var stage ? new(ErrorOf(stage)) : _inner.ZeroAsync(range, forceUnitAccess, cancellationToken);

    /// <remarks>A flush needs no store but with <c>durability: bucket</c>, and what was written before must be allowed to become durable: only a path that is given up refuses it.</remarks>
    public ValueTask<BlockResult> FlushAsync(CancellationToken cancellationToken) =>
        _stage == Stage.Failed ? new(BlockError.PathUnavailable) : _inner.FlushAsync(cancellationToken);

    public void BeginBurst() => _bursts?.BeginBurst();

    public void EndBurst() => _bursts?.EndBurst();

    public ValueTask DisposeAsync() => _timer.DisposeAsync();

    private static BlockError ErrorOf(Stage stage) => stage == Stage.Failed ? BlockError.PathUnavailable : BlockError.WriteProtected;

    /// <summary>The store's absence is the person's business now, if it is because of a refusal.</summary>
    private async ValueTask<BlockResult> TellOfRefusalAsync(ValueTask<BlockResult> read)
    {
        var result = await read;
        return result.Error == BlockError.StoreUnavailable && IsRefusedForLong(_failure()) ? BlockError.Offline : result;
    }

    private bool IsRefusedForLong(StoreFailure? failure) => failure is { IsRefused: true } && _time.GetElapsedTime(failure.RefusedSince) >= _policy.RefusedGrace;

    private void Look()
    {
        lock (_gate) Enter(StageOf(_failure()));
        _timer.Change(Period, Timeout.InfiniteTimeSpan);
    }

    private Stage StageOf(StoreFailure? failure)
    {
        if (failure is not null && _policy.Action != LongOutageAction.Retry && _time.GetElapsedTime(failure.Since) >= _policy.Delay)
            return _policy.Action == LongOutageAction.ReadOnly ? Stage.ReadOnly : Stage.Failed;
        return IsRefusedForLong(failure) ? Stage.Refused : Stage.Normal;
    }

    private void Enter(Stage stage)
    {
        if (stage == _stage) return;
        _stage = stage;
        switch (stage)
        {
            case Stage.Normal:
                ServingLog.OutageOver(_logger, _name);
                break;
            case Stage.Refused:
                ServingLog.StoreRefuses(_logger, _name, _policy.RefusedGrace);
                break;
            case Stage.ReadOnly:
                ServingLog.OutageReadOnly(_logger, _name, _policy.Delay);
                break;
            case Stage.Failed:
                ServingLog.OutageFailed(_logger, _name, _policy.Delay);
                break;
        }
    }
}
