using Gateway.Backends.Core;
using Gateway.Volumes.Formats;
using Microsoft.Extensions.Logging;

namespace Gateway.Volumes.Leases;

/// <summary>Who a writer is.</summary>
/// <param name="Keys">Its volume's names.</param>
/// <param name="VolumeId">Its volume.</param>
/// <param name="Epoch">Its number.</param>
/// <param name="Owner">Host and process, for people.</param>
/// <param name="JournalId">Its journal.</param>
internal sealed record WriterIdentity(VolumeKeys Keys, Guid VolumeId, long Epoch, string Owner, Guid JournalId);

/// <summary>
/// Keeps a writer's authority: one loop that looks for a newer epoch, and tells in the heartbeat that it lives and what its journal holds
/// alone. Without a lease it does neither.
/// </summary>
/// <remarks>
/// A look is due every L/12, after a failed one soon, and at once when a command is held. Heartbeats go their own way, one at a time: a slow
/// one delays no look. Failures are only ever repeated; what counts is what the clock says of the last look that succeeded.
/// </remarks>
internal sealed class LeaseKeeper : IAsyncDisposable
{
    private readonly IBlobStore _store;
    private readonly WriterIdentity _writer;
    private readonly WriterAuthority _authority;
    private readonly CompletionGate _gate;
    private readonly Action<long> _fenced;
    private readonly TimeProvider _time;
    private readonly Random _random;
    private readonly Func<Guid> _newNonce;
    private readonly ILogger _logger;
    private readonly LeaseTerms _terms;

    private readonly AsyncSignal _signal = new();
    private readonly CancellationTokenSource _stop = new();
    private readonly ITimer _timer;
    private int _renewalNeeded;
    private int _beatNeeded = 1;
    private Task<bool> _beat = Task.FromResult(true);
    private Task _loop = Task.CompletedTask;

    /// <param name="store">Where the volume is.</param>
    /// <param name="writer">Who we are.</param>
    /// <param name="authority">What is kept; a first look has been made.</param>
    /// <param name="gate">What waits for it.</param>
    /// <param name="fenced">Told once when a newer epoch was seen.</param>
    /// <param name="time">A clock that counts suspension.</param>
    /// <param name="random">Spreads requests.</param>
    /// <param name="newNonce">Makes every heartbeat another.</param>
    /// <param name="logger">Lifecycle and failures.</param>
    public LeaseKeeper(
        IBlobStore store, WriterIdentity writer, WriterAuthority authority, CompletionGate gate, Action<long> fenced, TimeProvider time, Random random, Func<Guid> newNonce, ILogger logger)
    {
        _store = store;
        _writer = writer;
        _authority = authority;
        _gate = gate;
        _fenced = fenced;
        _time = time;
        _random = random;
        _newNonce = newNonce;
        _logger = logger;
        _terms = authority.Terms;
        _timer = time.CreateTimer(static s => ((AsyncSignal)s!).Set(), _signal, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
    }

    public void Start()
    {
        if (!_terms.HasLease) return;
        _gate.RenewalNeeded = RenewNow;
        _gate.Ledger.Turned = BeatNow;
        _loop = RunAsync();
    }

    /// <summary>Gives no more signs of life: the volume has stopped for good.</summary>
    public void End()
    {
        _authority.Revoke();
        _signal.Set();
    }

    /// <summary>Ends. What is acknowledged afterwards is bound by the last look's time.</summary>
    public async ValueTask DisposeAsync()
    {
        _stop.Cancel();
        _signal.Set();
        await _loop;
        await _timer.DisposeAsync();
        _stop.Dispose();
    }

    private void RenewNow()
    {
        if (Interlocked.Exchange(ref _renewalNeeded, 1) == 0) _signal.Set();
    }

    private void BeatNow()
    {
        if (Interlocked.Exchange(ref _beatNeeded, 1) == 0) _signal.Set();
    }

    private async Task RunAsync()
    {
        try
        {
            await KeepAsync();
        }
        catch (OperationCanceledException) when (_stop.IsCancellationRequested)
        {
            // Closed.
        }
        catch (Exception e)
        {
            // A bug. The authority runs out, and commands end in errors: nothing is acknowledged that must not be.
            VolumeLog.LeaseBroken(_logger, _writer.Keys.VolumeName, e);
        }

        await _beat;
    }

    private async Task KeepAsync()
    {
        var (lookDue, beatDue, failed, beatUnderWay) = (Due(Spread(_terms.LookEvery)), _time.GetTimestamp(), false, false);
        while (!_stop.IsCancellationRequested && !_authority.IsRevoked)
        {
            if (IsDue(lookDue) || RenewsAtOnce())
            {
                // Forgotten before the look, so that who asks while it is under way gets one of their own: this one may be too old.
                Volatile.Write(ref _renewalNeeded, 0);
                failed = !await LookAsync();
                lookDue = Due(Spread(failed || _gate.IsHolding ? _terms.RetryAfter : _terms.LookEvery));
            }

            if (beatUnderWay && _beat.IsCompleted)
            {
                beatUnderWay = false;
                // What it had to tell may be that the journal holds flushed writes: soon again.
                if (!await _beat) beatDue = Due(Spread(_terms.RetryAfter));
            }

            if (!beatUnderWay && (Volatile.Read(ref _beatNeeded) != 0 || IsDue(beatDue)))
            {
                Volatile.Write(ref _beatNeeded, 0);
                (_beat, beatUnderWay, beatDue) = (BeatAsync(), true, Due(Spread(_terms.BeatEvery)));
            }

            if (RenewsAtOnce()) continue;
            _timer.Change(Left(beatUnderWay ? lookDue : Math.Min(lookDue, beatDue)), Timeout.InfiniteTimeSpan);
            await _signal.WaitAsync();
        }

        bool RenewsAtOnce() => Volatile.Read(ref _renewalNeeded) != 0 && !failed;
    }

    /// <summary>Looks once; false if the store did not say.</summary>
    private async Task<bool> LookAsync()
    {
        var sentAt = _time.GetTimestamp();
        try
        {
            using var attempt = new CancellationTokenSource(_terms.AttemptTimeout, _time);
            using var either = CancellationTokenSource.CreateLinkedTokenSource(attempt.Token, _stop.Token);
            var superseded = await EpochLook.IsSupersededAsync(_store, _writer.Keys, _writer.Epoch, _authority, either.Token).AsTask().WaitAsync(either.Token);
            if (superseded)
            {
                _authority.Revoke();
                _fenced(_writer.Epoch + 1);
                return true;
            }

            _authority.Extend(sentAt);
            _gate.Reopen();
            return true;
        }
        catch (Exception e) when (!_stop.IsCancellationRequested)
        {
            VolumeLog.LeaseNotRenewed(_logger, _writer.Keys.VolumeName, e is OperationCanceledException ? "The store did not answer in time." : e.Message, _authority.IsValid);
            return false;
        }
    }

    /// <summary>Gives a sign of life; false if the store did not take it.</summary>
    private async Task<bool> BeatAsync()
    {
        var record = HeartbeatRecord.Of(_writer, _gate.Ledger.Progress, _newNonce(), _time.GetUtcNow());
        try
        {
            using var attempt = new CancellationTokenSource(_terms.AttemptTimeout, _time);
            using var either = CancellationTokenSource.CreateLinkedTokenSource(attempt.Token, _stop.Token);
            await _store.PutAsync(_writer.Keys.HeartbeatKey, LeaseCodec.Encode(record, _writer.VolumeId), Precondition.None, either.Token).AsTask().WaitAsync(either.Token);
            return true;
        }
        catch (Exception e)
        {
            if (!_stop.IsCancellationRequested) VolumeLog.HeartbeatFailed(_logger, _writer.Keys.VolumeName, e.Message);
            return false;
        }
        finally
        {
            _signal.Set(); // There may be news meanwhile.
        }
    }

    private TimeSpan Spread(TimeSpan span)
    {
        lock (_random) return span * (0.8 + (_random.NextDouble() / 5));
    }

    private long Due(TimeSpan after) => _time.GetTimestamp() + (long)(after.TotalSeconds * _time.TimestampFrequency);

    private bool IsDue(long at) => _time.GetTimestamp() >= at;

    private TimeSpan Left(long at)
    {
        var left = _time.GetElapsedTime(_time.GetTimestamp(), at);
        return left > TimeSpan.Zero ? left + TimeSpan.FromMilliseconds(1) : TimeSpan.Zero; // Timers count whole milliseconds.
    }
}
