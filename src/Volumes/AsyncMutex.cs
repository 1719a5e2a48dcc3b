namespace Gateway.Volumes;

/// <summary>Lets one in at a time, in the order of arrival. Whoever waited goes on where it awaits, not inside the other's release.</summary>
/// <remarks>A <see cref="SemaphoreSlim"/> takes the thread pool for a wait that can be cancelled, whatever the scheduler of its caller.</remarks>
internal sealed class AsyncMutex
{
    private readonly Lock _gate = new();
    private readonly Queue<TaskCompletionSource> _waiting = new();
    private bool _isTaken;

    /// <summary>Enters, and must <see cref="Release"/> then.</summary>
    /// <exception cref="OperationCanceledException">Cancelled before it was let in.</exception>
    public async ValueTask WaitAsync(CancellationToken cancellationToken)
    {
        TaskCompletionSource turn;
        lock (_gate)
        {
            cancellationToken.ThrowIfCancellationRequested();
            if (!_isTaken)
            {
                _isTaken = true;
                return;
            }

            _waiting.Enqueue(turn = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously));
        }

        using var registration = cancellationToken.UnsafeRegister(static (turn, token) => ((TaskCompletionSource)turn!).TrySetCanceled(token), turn);
        await turn.Task;
    }

    public void Release()
    {
        lock (_gate)
        {
            // One that was cancelled meanwhile is passed over.
            while (_waiting.TryDequeue(out var next))
                if (next.TrySetResult()) return;
            _isTaken = false;
        }
    }
}
