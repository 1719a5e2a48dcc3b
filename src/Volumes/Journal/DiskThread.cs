using System.Threading.Tasks.Sources;

namespace Gateway.Volumes.Journal;

/// <summary>Runs one blocking call again and again on a thread of its own, which starts with the first. Allocates nothing per run.</summary>
/// <remarks>One run at a time: the next begins after the last one's result was taken, be it in its continuation.</remarks>
internal sealed class DiskThread(string name, Action call) : IValueTaskSource, IDisposable
{
    private const int StackBytes = 256 << 10;

    private readonly SemaphoreSlim _work = new(0);
    private ManualResetValueTaskSourceCore<bool> _core;
    private Thread? _thread;
    private volatile bool _isDue;
    private volatile bool _ending;

    /// <summary>Completes when the call has been made, and fails as it does.</summary>
    /// <param name="inline">The caller goes on, on this thread, before the next run can begin; else elsewhere.</param>
    public ValueTask RunAsync(bool inline)
    {
        ObjectDisposedException.ThrowIf(_ending, this);
        _core.Reset();
        _core.RunContinuationsAsynchronously = !inline;
        if (_thread is null)
        {
            _thread = new Thread(Work, StackBytes) { Name = name, IsBackground = true };
            _thread.Start();
        }

        _isDue = true;
        _work.Release();
        return new ValueTask(this, _core.Version);
    }

    /// <summary>Ends the thread after the run that was asked for last, without waiting for it.</summary>
    public void Dispose()
    {
        _ending = true;
        _work.Release();
    }

    private void Work()
    {
        while (true)
        {
            _work.Wait();
            Exception? failure = null;
            if (_isDue)
            {
                _isDue = false;
                try
                {
                    call();
                }
                catch (Exception e)
                {
                    failure = e;
                }

                if (failure is null) _core.SetResult(true);
                else _core.SetException(failure);
            }

            if (_ending) return;
        }
    }

    void IValueTaskSource.GetResult(short token) => _core.GetResult(token);

    ValueTaskSourceStatus IValueTaskSource.GetStatus(short token) => _core.GetStatus(token);

    void IValueTaskSource.OnCompleted(Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags) =>
        _core.OnCompleted(continuation, state, token, flags);
}
