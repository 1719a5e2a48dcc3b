using Gateway.Backends.Core;
using Gateway.Backends.Resilience;
using Gateway.Scsi;
using Gateway.Tcmu;
using Microsoft.Extensions.Logging;

namespace Gateway.Serving;

/// <summary>
/// Says what a long outage of a volume's store means to its commands now, and logs when that begins and ends. The answer follows from how long
/// the store has done nothing, at the moment of the question: what begins so ends with the first request that the store does. Thread safe.
/// </summary>
/// <remarks>
/// Commands that are refused here ask the store nothing, and a volume without a lease, or with nothing to upload, asks by itself nothing either. So while the
/// store is away a look goes each second, past the open circuit. With <see cref="LongOutagePolicy.Retry"/> nothing of this happens.
/// </remarks>
internal sealed class OutageWatch : IAsyncDisposable
{
    private static readonly TimeSpan Period = TimeSpan.FromSeconds(1);

    /// <summary>A blob that is not there: that there is none is all that a look need find out.</summary>
    private static readonly BlobKey Probe = new(".outage-look");

    private readonly TcmuDeviceName _device;
    private readonly ResilientStore _store;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly CancellationTokenSource _stop = new();
    private readonly Lock _gate = new();
    private Task _looking = Task.CompletedTask;
    private bool _looks;
    private bool _closed;
    private volatile Rule _rule = new(BlockError.None, TimeSpan.Zero);
    private volatile bool _isLong;
    private long _longSince;

    public OutageWatch(TcmuDeviceName device, ResilientStore store, OutageOptions options, TimeProvider time, ILogger logger)
    {
        (_device, _store, _time, _logger) = (device, store, time, logger);
        Change(options);
    }

    /// <summary><see cref="BlockError.WriteProtected"/> if writes, <see cref="BlockError.PathUnavailable"/> if all medium commands are refused for now; or none.</summary>
    public BlockError Verdict
    {
        get
        {
            var rule = _rule;
            if (rule.WhenLong == BlockError.None) return BlockError.None;
            var isLong = _store.Standing.AwayFor is { Ticks: > 0 } away && away >= rule.After;
            if (isLong != _isLong) Note(rule, isLong);
            return isLong ? rule.WhenLong : BlockError.None;
        }
    }

    /// <summary>The last that the store said was a refusal. Before that has lasted for its grace, reads need not be told apart.</summary>
    public bool IsRefused => _store.Standing.RefusedFor > TimeSpan.Zero;

    /// <summary>The store has refused our credentials, or said that there is no bucket, for longer than its grace: only a person can help.</summary>
    public bool NeedsPerson => IsRefused && _store.Standing.RefusedFor >= _store.RefusedGrace;

    /// <summary>Goes on by another policy, from the next command on. An outage that is long by that one, too, is logged anew.</summary>
    public void Change(OutageOptions options)
    {
        var whenLong = options.OnLongOutage switch
        {
            LongOutagePolicy.ReadOnly => BlockError.WriteProtected,
            LongOutagePolicy.Fail => BlockError.PathUnavailable,
            _ => BlockError.None,
        };
        lock (_gate)
        {
            var rule = new Rule(whenLong, options.After);
            if (rule == _rule || _closed) return;
            _rule = rule;
            _isLong = false;
            if (_looks || whenLong == BlockError.None) return;
            _looks = true;
            _looking = LookAsync();
        }
    }

    public async ValueTask DisposeAsync()
    {
        lock (_gate) _closed = true;
        await _stop.CancelAsync();
        await _looking;
        _stop.Dispose();
    }

    private void Note(Rule rule, bool isLong)
    {
        lock (_gate)
        {
            if (isLong == _isLong || rule != _rule) return; // Another command saw it first, or it is no longer so.
            _isLong = isLong;
            if (!isLong)
            {
                ServingLog.LongOutageEnds(_logger, _device, _time.GetElapsedTime(_longSince));
                return;
            }

            _longSince = _time.GetTimestamp();
            if (rule.WhenLong == BlockError.WriteProtected) ServingLog.LongOutageReadOnly(_logger, _device, rule.After, _store.Standing.LastFailure);
            else ServingLog.LongOutageFail(_logger, _device, rule.After, _store.Standing.LastFailure);
        }
    }

    private async Task LookAsync()
    {
        while (true)
        {
            try
            {
                await Task.Delay(Period, _time, _stop.Token);
                lock (_gate)
                {
                    _looks = _rule.WhenLong != BlockError.None;
                    if (!_looks) return;
                }

                if (_store.Standing.AwayFor > TimeSpan.Zero) await _store.Background.GetLengthAsync(Probe, _stop.Token);
            }
            catch (OperationCanceledException) when (_stop.IsCancellationRequested)
            {
                return;
            }
            catch (Exception)
            {
                // Whatever it was: the store does not do its work yet.
            }

            _ = Verdict;
        }
    }

    /// <param name="WhenLong">What commands end in once an outage is long; none: what they end in anyway.</param>
    /// <param name="After">From which length on it is long.</param>
    private sealed record Rule(BlockError WhenLong, TimeSpan After);
}
