using Gateway.Backends.Core;

namespace Gateway.Backends.Resilience;

/// <summary>Lets a number of requests pass at a time. Others wait in the order of their coming, up to a bound; beyond it they are refused. Thread safe.</summary>
/// <remarks>A waiting request is in the queue until either its turn or its cancellation takes it out, under the lock: never both.</remarks>
/// <param name="requestsMax">Requests that pass at a time.</param>
/// <param name="queueMax">Requests that wait.</param>
internal sealed class RequestGate(int requestsMax, int queueMax)
{
    private readonly Lock _lock = new();
    private readonly LinkedList<TaskCompletionSource> _queue = new();
    private int _running;

    /// <summary>True if a request would pass now.</summary>
    public bool HasRoom
    {
        get
        {
            lock (_lock) return _running < requestsMax;
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
            if (_running < requestsMax)
            {
                _running++;
                return;
            }

            if (_queue.Count >= queueMax)
            {
                var why = $"{requestsMax} requests are on their way and {queueMax} wait: this one was not sent.";
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
            if (_queue.First is not { } first)
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
