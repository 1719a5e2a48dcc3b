using System.Collections.Concurrent;

namespace Gateway.Backends.File;

/// <summary>A few threads of its own for calls that wait for a disk: an fsync takes milliseconds, and would starve the thread pool of its few.</summary>
/// <remarks>The queue is as long as there are callers waiting; each caller has one job in it at a time.</remarks>
internal sealed class DiskThreads : IAsyncDisposable
{
    // Not disposed: it holds nothing but memory, and a second disposal of the store must do no harm.
    private readonly BlockingCollection<Job> _queue = [];
    private readonly Task[] _threads;

    public DiskThreads(int count)
    {
        _threads = new Task[count];
        for (var i = 0; i < count; i++)
            _threads[i] = Task.Factory.StartNew(Work, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
    }

    /// <summary>Runs the function on one of the threads. Cancellation counts until it starts, never after.</summary>
    public Task<T> RunAsync<T>(Func<T> function, CancellationToken cancellationToken)
    {
        if (cancellationToken.IsCancellationRequested) return Task.FromCanceled<T>(cancellationToken);
        var job = new Job<T>(function);
        if (!cancellationToken.CanBeCanceled)
        {
            _queue.Add(job, CancellationToken.None);
            return job.Task;
        }

        var registration = cancellationToken.UnsafeRegister(static (state, token) => ((Job<T>)state!).TryCancel(token), job);
        _queue.Add(job, CancellationToken.None);
        return WithRegistrationAsync(job.Task, registration);
    }

    public async ValueTask DisposeAsync()
    {
        if (_queue.IsAddingCompleted) return;
        _queue.CompleteAdding();
        await Task.WhenAll(_threads);
    }

    private static async Task<T> WithRegistrationAsync<T>(Task<T> task, CancellationTokenRegistration registration)
    {
        await using (registration) return await task;
    }

    private void Work()
    {
        foreach (var job in _queue.GetConsumingEnumerable()) job.Run();
    }

    private abstract class Job
    {
        private int _taken;

        public abstract void Run();

        /// <summary>True for the first who asks: the thread that runs the job, or the cancellation that takes it out.</summary>
        protected bool Take() => Interlocked.Exchange(ref _taken, 1) == 0;
    }

    private sealed class Job<T>(Func<T> function) : Job
    {
        private readonly TaskCompletionSource<T> _completion = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public Task<T> Task => _completion.Task;

        public override void Run()
        {
            if (!Take()) return;
            try
            {
                _completion.SetResult(function());
            }
            catch (Exception e)
            {
                // It belongs to the caller, who awaits it.
                _completion.SetException(e);
            }
        }

        public void TryCancel(CancellationToken cancellationToken)
        {
            if (Take()) _completion.SetCanceled(cancellationToken);
        }
    }
}
