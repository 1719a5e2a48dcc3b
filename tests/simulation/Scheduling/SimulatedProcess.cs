namespace Gateway.Simulation.Scheduling;

/// <summary>The process that was asked to do something is gone: its initiator sees a lost connection.</summary>
internal sealed class ProcessDiedException() : Exception("The process died.");

/// <summary>
/// A process: the context that its continuations come back to. After its death none of them runs any more; while it is suspended they
/// wait, and time goes on.
/// </summary>
internal sealed class SimulatedProcess(World world, string name) : SynchronizationContext
{
    private readonly List<(SendOrPostCallback Callback, object? State)> _parked = [];
    private readonly Dictionary<long, Action> _abandon = [];
    private readonly List<Action> _onDeath = [];
    private long _nextAbandon;
    private TimeSpan _suspendedAt;
    private TimeSpan _suspendedTotal;
    private TimeSpan _resumedAt = TimeSpan.MinValue;

    public string Name { get; } = name;

    public bool IsDead { get; private set; }

    public bool IsSuspended { get; private set; }

    /// <summary>Time spent suspended so far.</summary>
    public TimeSpan SuspendedTotal => IsSuspended ? _suspendedTotal + (world.Now - _suspendedAt) : _suspendedTotal;

    /// <summary>True at the moment of its resumption: what runs then had been about to run when it was suspended, or follows from that at once.</summary>
    public bool HasJustResumed => world.Now == _resumedAt;

    /// <summary>Until then none of its requests reaches the store.</summary>
    public TimeSpan CutOffUntil { get; set; }

    public override void Post(SendOrPostCallback d, object? state)
    {
        if (!IsDead) world.Enqueue(this, d, state);
    }

    public override void Send(SendOrPostCallback d, object? state) => d(state);

    public override SynchronizationContext CreateCopy() => this;

    /// <summary>Starts work as this process; the task fails with <see cref="ProcessDiedException"/> if the process dies before the work ends.</summary>
    public Task<T> RunAsync<T>(Func<Task<T>> work)
    {
        var done = new TaskCompletionSource<T>();
        if (IsDead)
        {
            done.SetException(new ProcessDiedException());
            return done.Task;
        }

        var id = _nextAbandon++;
        _abandon.Add(id, () => done.TrySetException(new ProcessDiedException()));
        Post(_ => _ = FinishAsync(), null);
        return done.Task;

        async Task FinishAsync()
        {
            try
            {
                var result = await work();
                _abandon.Remove(id);
                done.TrySetResult(result);
            }
            catch (Exception e)
            {
                _abandon.Remove(id);
                done.TrySetException(e);
            }
        }
    }

    /// <summary>Called at the death, in order of registration: files lose their locks, for one.</summary>
    public void OnDeath(Action action) => _onDeath.Add(action);

    public void Die()
    {
        if (IsDead) return;
        IsDead = true;
        _parked.Clear();
        foreach (var action in _onDeath) action();
        foreach (var abandon in _abandon.Values.ToArray()) abandon();
        _abandon.Clear();
    }

    public void Suspend()
    {
        if (IsDead || IsSuspended) return;
        IsSuspended = true;
        _suspendedAt = world.Now;
    }

    public void Resume()
    {
        if (!IsSuspended) return;
        _suspendedTotal += world.Now - _suspendedAt;
        IsSuspended = false;
        _resumedAt = world.Now;
        foreach (var (callback, state) in _parked) Post(callback, state);
        _parked.Clear();
    }

    /// <summary>True if the work may run now; that of a suspended process is kept for its resumption.</summary>
    public bool Admits(SendOrPostCallback callback, object? state)
    {
        if (IsDead) return false;
        if (!IsSuspended) return true;
        _parked.Add((callback, state));
        return false;
    }
}
