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
    private readonly OutageOptions _options;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly CancellationTokenSource _stop = new();
    private readonly Lock _logGate = new();
    private readonly Task _looking;
    private readonly BlockError _whenLong;
    private volatile bool _isLong;
    private long _longSince;

    public OutageWatch(TcmuDeviceName device, ResilientStore store, OutageOptions options, TimeProvider time, ILogger logger)
    {
        (_device, _store, _options, _time, _logger) = (device, store, options, time, logger);
        _whenLong = options.OnLongOutage switch
        {
            LongOutagePolicy.ReadOnly => BlockError.WriteProtected,
            LongOutagePolicy.Fail => BlockError.PathUnavailable,
            _ => BlockError.None,
        };
        _looking = _whenLong == BlockError.None ? Task.CompletedTask : LookAsync();
    }

    /// <summary><see cref="BlockError.WriteProtected"/> if writes, <see cref="BlockError.PathUnavailable"/> if all medium commands are refused for now; or none.</summary>
    public BlockError Verdict
    {
        get
        {
            if (_whenLong == BlockError.None) return BlockError.None;
            var isLong = _store.Standing.AwayFor is { Ticks: > 0 } away && away >= _options.After;
            if (isLong != _isLong) Note(isLong);
            return isLong ? _whenLong : BlockError.None;
        }
    }

    /// <summary>The last that the store said was a refusal. Before that has lasted for its grace, reads need not be told apart.</summary>
    public bool IsRefused => _store.Standing.RefusedFor > TimeSpan.Zero;

    /// <summary>The store has refused our credentials, or said that there is no bucket, for longer than its grace: only a person can help.</summary>
    public bool NeedsPerson => IsRefused && _store.Standing.RefusedFor >= _store.RefusedGrace;

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await _looking;
        _stop.Dispose();
    }

    private void Note(bool isLong)
    {
        lock (_logGate)
        {
            if (isLong == _isLong) return; // Another command saw it first.
            _isLong = isLong;
            if (!isLong)
            {
                ServingLog.LongOutageEnds(_logger, _device, _time.GetElapsedTime(_longSince));
                return;
            }

            _longSince = _time.GetTimestamp();
            if (_whenLong == BlockError.WriteProtected) ServingLog.LongOutageReadOnly(_logger, _device, _options.After, _store.Standing.LastFailure);
            else ServingLog.LongOutageFail(_logger, _device, _options.After, _store.Standing.LastFailure);
        }
    }

    private async Task LookAsync()
    {
        while (true)
        {
            try
            {
                await Task.Delay(Period, _time, _stop.Token);
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
}
