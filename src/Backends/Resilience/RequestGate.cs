using Gateway.Backends.Core;

namespace Gateway.Backends.Resilience;

/// <summary>Lets a number of requests pass at a time. Others wait in the order of their coming, up to a bound; beyond it they are refused. Thread safe.</summary>
/// <remarks>A waiting request is in the queue until either its turn or its cancellation takes it out, under the lock: never both.</remarks>
/// <param name="requestsMax">Requests that pass at a time.</param>
/// <param name="queueMax">Requests that wait.</param>
internal sealed class RequestGate(int requestsMax, int queueMax)
{
    private int _requestsMax = requestsMax;
    private int _queueMax = queueMax;
    private readonly Lock _lock = new();
    private readonly LinkedList<TaskCompletionSource> _queue = new();
    private int _running;

    /// <summary>True if a request would pass now.</summary>
    public bool HasRoom
    {
        get
        {
            lock (_lock) return _running < _requestsMax;
        }
    }

    /// <summary>Changes both bounds. Those that wait have their turn if there is room now; those that pass, or wait, beyond the new bounds are left alone.</summary>
    public void Resize(int requestsMax, int queueMax)
    {
        lock (_lock)
        {
            (_requestsMax, _queueMax) = (requestsMax, queueMax);
            for (; _running < _requestsMax && _queue.First is { } next; _running++)
            {
                _queue.RemoveFirst();
                next.Value.SetResult(); // Goes on elsewhere: its continuations run asynchronously.
            }
        }
    }

    /// <summary>Returns when it is the request's turn; <see cref="Leave"/> must follow then.</summary>
    /// <exception cref="BlobStoreException">Too many wait already.</exception>
    public async ValueTask EnterAsync(string description, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        LinkedListNode<TaskCompletionSource> place;
        lock (_lock)
        {
            if (_running < _requestsMax)
            {
                _running++;
                return;
            }

            if (_queue.Count >= _queueMax)
            {
                var why = $"{_requestsMax} requests are on their way and {_queueMax} wait: this one was not sent.";
                throw new BlobStoreException(BlobErrorKind.Throttled, $"{description}: {why}", new RefusedException(why));
            }

            place = _queue.AddLast(new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously));
        }

        await using var registration = cancellationToken.UnsafeRegister(static (state, token) =>
        {
            var (gate, place) = ((RequestGate, LinkedListNode<TaskCompletionSource>))state!;
            lock (gate._lock)
            {
                if (place.List is null) return; // Its turn came first.
                gate._queue.Remove(place);
            }

            place.Value.SetCanceled(token);
        }, (this, place));
        await place.Value.Task;
    }

    /// <summary>A request that had its turn is over: the next one has it.</summary>
    public void Leave()
    {
        TaskCompletionSource next;
        lock (_lock)
        {
            if (_running > _requestsMax || _queue.First is not { } first)
            {
                _running--;
                return;
            }

            _queue.RemoveFirst();
            next = first.Value;
        }

        next.SetResult();
    }
}
