using System.Runtime.CompilerServices;
using Gateway.Scsi;
using Gateway.Volumes.Journal;

namespace Gateway.Volumes.Leases;

/// <summary>
/// The last step of every successful command: it is told to the initiator only while the writer's authority lasts. Otherwise it is held while
/// the authority is renewed, and ends in <see cref="BlockError.StoreUnavailable"/> if that takes longer than the command may: what it did may
/// then have taken effect, as with any error. A cancelled one is not held any longer: a read or a flush ends in
/// <see cref="BlockError.Aborted"/>, a write as if its time were up.
/// </summary>
/// <remarks>
/// Reads pass here, too: once another gateway serves, what this one has may be out of date. The look at the clock comes after the effect and
/// directly before the completion. Thread safe; allocates nothing while it is open. What is held is bounded by the commands in flight.
/// </remarks>
internal sealed class CompletionGate : IDisposable
{
    private readonly WriterAuthority _authority;
    private readonly TimeSpan _timeout;
    private readonly TimeProvider _time;

    private readonly Lock _gate = new();
    private readonly List<Held> _held = [];
    private readonly ITimer _deadline;
    private volatile bool _isHolding;
    private long _armedFor; // Arrival of the command whose time the deadline is.
    private volatile BlockError _failure;

    /// <param name="authority">Until when this writer may acknowledge.</param>
    /// <param name="ledger">Learns of the flushes that were acknowledged.</param>
    /// <param name="timeout">How long a command may take in all.</param>
    /// <param name="time">The clock.</param>
    public CompletionGate(WriterAuthority authority, FlushLedger ledger, TimeSpan timeout, TimeProvider time)
    {
        _authority = authority;
        Ledger = ledger;
        _timeout = timeout;
        _time = time;
        _deadline = time.CreateTimer(static gate => ((CompletionGate)gate!).Expire(), this, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
    }

    /// <summary>A command that took effect and waits to be acknowledged: of the journal, or of a caller that waits by itself.</summary>
    private readonly record struct Held(AppendRequest? Request, Action<BlockResult>? Caller, long ArrivedAt, CancellationTokenRegistration Registration, CancellationToken Cancellation)
    {
        public bool IsCancelled => Request?.IsCancelled ?? Cancellation.IsCancellationRequested;

        public void Complete(BlockResult result)
        {
            Registration.Unregister(); // Before its command can be used again.
            Request?.Complete(result);
            Caller?.Invoke(result);
        }
    }

    public FlushLedger Ledger { get; }

    /// <summary>Called when something is held, without any lock: the authority must be renewed now.</summary>
    public Action? RenewalNeeded { get; set; }

    /// <summary>True if a success may be told now. Good for the completions that follow at once.</summary>
    public bool IsOpen => _failure == BlockError.None && (Mutation.AcknowledgedPastLease || _authority.IsValid);

    /// <summary>True while commands are held: a new one need not begin. Costs no look at the clock.</summary>
    public bool IsHolding => _isHolding;

    /// <summary>Ends a request: at once if it failed or <paramref name="isOpen"/>, else when the authority is renewed.</summary>
    /// <param name="request">The request.</param>
    /// <param name="result">Its outcome.</param>
    /// <param name="isOpen"><see cref="IsOpen"/>, read after the request took effect.</param>
    public void Complete(AppendRequest request, BlockResult result, bool isOpen)
    {
        if (!result.IsSuccess)
        {
            request.Complete(result);
            return;
        }

        if (isOpen) Acknowledge(request);
        else Hold(new Held(request, null, request.ArrivedAt, default, default));
    }

    /// <summary>Passes at once, or when the authority is renewed; else says why not.</summary>
    /// <param name="arrivedAt">When the command came: its time counts from there.</param>
    /// <param name="cancellationToken">Of a command that has had no effect.</param>
    public ValueTask<BlockResult> PassAsync(long arrivedAt, CancellationToken cancellationToken)
    {
        if (IsOpen)
        {
            if (_isHolding) Reopen(); // A look that was made for a segment renewed it, too.
            return new(BlockResult.Success);
        }

        var caller = new TaskCompletionSource<BlockResult>(TaskCreationOptions.RunContinuationsAsynchronously);
        Hold(new Held(null, caller.SetResult, arrivedAt, default, cancellationToken));
        return new(caller.Task);
    }

    /// <summary>Calls <paramref name="then"/> at once, or when the authority is renewed, or with the reason why not. Those that wait are called in order, one after the other.</summary>
    /// <param name="arrivedAt">When the command came: its time counts from there.</param>
    /// <param name="then">What to do; must not wait.</param>
    /// <param name="cancellationToken">Of a command that has had no effect.</param>
    public void Pass(long arrivedAt, Action<BlockResult> then, CancellationToken cancellationToken)
    {
        if (IsOpen)
        {
            if (_isHolding) Reopen(); // Those before it first.
            then(BlockResult.Success);
        }
        else
        {
            Hold(new Held(null, then, arrivedAt, default, cancellationToken));
        }
    }

    /// <summary>The outcome of an operation without effects, told only while the authority lasts.</summary>
    public ValueTask<BlockResult> GuardAsync(ValueTask<BlockResult> operation, CancellationToken cancellationToken)
    {
        if (!operation.IsCompletedSuccessfully) return GuardSlowlyAsync(operation, _time.GetTimestamp(), cancellationToken);
        var result = operation.Result;
        return !result.IsSuccess || IsOpen ? new(result) : PassAsync(_time.GetTimestamp(), cancellationToken);
    }

    /// <summary>The authority was renewed: what is held goes on.</summary>
    public void Reopen()
    {
        Held[] held;
        lock (_gate)
        {
            if (_held.Count == 0 || !IsOpen) return;
            held = [.. _held];
            _held.Clear();
            _isHolding = false;
        }

        foreach (var command in held)
        {
            // Each by its own look at the clock: there may be many, and each runs on into the ring.
            if (!IsOpen) Hold(command);
            else if (command.Request is { } request) Acknowledge(request);
            else command.Complete(BlockResult.Success);
        }
    }

    /// <summary>Ends everything that is held, and lets no success pass any more.</summary>
    public void Fail(BlockError error)
    {
        Held[] held;
        lock (_gate)
        {
            if (_failure == BlockError.None) _failure = error;
            held = [.. _held];
            _held.Clear();
            _isHolding = false;
        }

        foreach (var command in held) command.Complete(error);
    }

    /// <summary>Ends what is held and was cancelled.</summary>
    public void EndCancelled()
    {
        List<Held>? cancelled = null;
        lock (_gate)
        {
            for (var i = _held.Count - 1; i >= 0; i--)
            {
                if (!_held[i].IsCancelled) continue;
                (cancelled ??= []).Add(_held[i]);
                _held.RemoveAt(i);
            }

            if (_held.Count == 0) _isHolding = false;
        }

        if (cancelled is null) return;
        foreach (var command in cancelled) command.Complete(ErrorOf(command));
    }

    public void Dispose() => _deadline.Dispose();

    /// <summary>How a cancelled command ends.</summary>
    private static BlockError ErrorOf(in Held command) => command.Request?.CancelledLate ?? BlockError.Aborted;

    private void Acknowledge(AppendRequest request)
    {
        if (request.DurableTarget > 0) Ledger.Flushed(request.DurableTarget);
        request.Complete(BlockResult.Success);
    }

    private void Hold(Held command)
    {
        command.Request?.WatchCancellation();
        if (command.Cancellation.CanBeCanceled && command.Registration == default)
            command = command with { Registration = command.Cancellation.UnsafeRegister(static gate => ((CompletionGate)gate!).EndCancelled(), this) };
        BlockError failure;
        lock (_gate)
        {
            failure = _failure != BlockError.None ? _failure : command.IsCancelled ? ErrorOf(command) : BlockError.None;
            if (failure == BlockError.None)
            {
                _held.Add(command);
                if (!_isHolding || command.ArrivedAt < _armedFor) Arm(command.ArrivedAt);
                _isHolding = true;
            }
        }

        if (failure == BlockError.None) RenewalNeeded?.Invoke();
        else command.Complete(failure);
    }

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    private async ValueTask<BlockResult> GuardSlowlyAsync(ValueTask<BlockResult> operation, long arrivedAt, CancellationToken cancellationToken)
    {
        var result = await operation;
        return !result.IsSuccess || IsOpen ? result : await PassAsync(arrivedAt, cancellationToken);
    }

    private void Arm(long arrivedAt)
    {
        var left = _timeout - _time.GetElapsedTime(arrivedAt);
        _armedFor = arrivedAt;
        _deadline.Change(left > TimeSpan.Zero ? left : TimeSpan.Zero, Timeout.InfiniteTimeSpan);
    }

    /// <summary>Ends what has been held for too long.</summary>
    private void Expire()
    {
        var expired = new List<Held>();
        lock (_gate)
        {
            long? oldest = null;
            for (var i = _held.Count - 1; i >= 0; i--)
            {
                if (_time.GetElapsedTime(_held[i].ArrivedAt) >= _timeout)
                {
                    expired.Add(_held[i]);
                    _held.RemoveAt(i);
                }
                else if (oldest is null || _held[i].ArrivedAt < oldest)
                {
                    oldest = _held[i].ArrivedAt;
                }
            }

            if (oldest is { } next) Arm(next);
            else _isHolding = false;
        }

        foreach (var command in expired) command.Complete(BlockError.StoreUnavailable);
    }
}
