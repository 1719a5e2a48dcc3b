using System.Globalization;
using System.Numerics;

namespace Gateway.Simulation.Scheduling;

/// <summary>The simulation found something that must not be. Its message says what, for people.</summary>
internal sealed class SimulationException(string message, Exception? innerException = null) : Exception(message, innerException);

/// <summary>
/// Time and the order of events, both virtual. Everything that can run next stands in one list; the seed picks from it. When nothing can run,
/// time jumps to the next timer. One thread does it all, so that one seed always gives the same history.
/// </summary>
internal sealed class World
{
    /// <summary>Bound on the work of one seed: more than that is a loop that gets nowhere.</summary>
    private const long StepsMax = 500_000;

    /// <summary>Events that a failure's trace ends with.</summary>
    private const int TraceLinesMax = 20_000;

    /// <summary>How long work may wait for a processor while time goes on.</summary>
    private static readonly TimeSpan LatenessMax = TimeSpan.FromMilliseconds(20);

    private readonly Random _random;
    private readonly double _disorder;
    private readonly double _lateness;
    private readonly List<WorkItem> _ready = [];
    private readonly PriorityQueue<(VirtualTimer Timer, long Version), (long Due, long Order)> _timers = new();
    private readonly Queue<string>? _trace;
    private readonly int _thread = Environment.CurrentManagedThreadId;
    private readonly Random _tieRandom;
    private SimulationException? _failure;
    private Action? _interrupt;
    private ulong _hash = 14695981039346656037;

    /// <param name="seed">Decides the order of everything that can run at a time.</param>
    /// <param name="isTracing">Keep what happens as text, for <see cref="Trace"/>.</param>
    public World(int seed, bool isTracing)
    {
        _random = new Random(seed);
        _tieRandom = new Random(seed ^ 0x5DEECE6);
        // Some seeds run work in the order in which it came, as an idle machine does; others as a busy one with many cores might.
        _disorder = _random.Next(4) switch { 0 => 0, 1 => 0.1, _ => 1 };
        _lateness = _random.Next(3) switch { 0 => 0, 1 => 0.002, _ => 0.03 };
        if (isTracing) _trace = new Queue<string>();
        Outside = new SimulatedProcess(this, "world");
    }

    private readonly record struct WorkItem(SimulatedProcess Owner, SendOrPostCallback Callback, object? State);

    /// <summary>Where what is no gateway runs: initiators, operators, stores. It never dies.</summary>
    public SimulatedProcess Outside { get; }

    /// <summary>Virtual time since the start.</summary>
    public TimeSpan Now { get; private set; }

    /// <summary>Pieces of work done so far; also orders events that happen at the same time.</summary>
    public long Steps { get; private set; }

    /// <summary>A hash of all that happened: the same for the same seed.</summary>
    public ulong Hash => _hash;

    public bool IsTracing => _trace is not null;

    public IEnumerable<string> Trace => _trace ?? Enumerable.Empty<string>();

    /// <summary>Runs a scenario to its end.</summary>
    /// <exception cref="SimulationException">Something must not be: what a check found, a hang, work that left the virtual scheduler.</exception>
    public void Run(Func<Task> scenario)
    {
        var before = SynchronizationContext.Current;
        try
        {
            Task? main = null;
            Outside.Post(_ => main = scenario(), null);
            while (main is not { IsCompleted: true } && _failure is null)
            {
                if (++Steps > StepsMax) throw new SimulationException($"No end after {StepsMax} steps.");
                if (Interlocked.Exchange(ref _interrupt, null) is { } interrupt) interrupt();
                if (_ready.Count > 0 && _random.NextDouble() < _lateness && FireNextTimer(LatenessMax)) continue;
                if (_ready.Count > 0) RunNext();
                else if (!FireNextTimer(TimeSpan.MaxValue)) throw new SimulationException("Hang: nothing can run, no timer is set, and something is still being waited for.");
            }

            if (_failure is not null) throw _failure;
            main!.GetAwaiter().GetResult();
        }
        finally
        {
            SynchronizationContext.SetSynchronizationContext(before);
        }
    }

    /// <summary>Ends the run with a failure after the present step. Only the first one counts.</summary>
    public void Fail(string message)
    {
        if (_failure is not null) return;
        Record("FAILURE", detail: message);
        _failure = new SimulationException(message);
    }

    /// <summary>Takes note of an event: in the hash always, as text if traced.</summary>
    public void Record(string what, long a = 0, long b = 0, string? detail = null, SimulatedProcess? process = null)
    {
        Watch?.Invoke(what, process);
        foreach (var c in what) Fold(c);
        Fold((ulong)a);
        Fold((ulong)b);
        Fold((ulong)Now.Ticks);
        foreach (var c in detail ?? "") Fold(c);
        if (_trace is not null) Note(process, string.Create(CultureInfo.InvariantCulture, $"{what} {(a != 0 || b != 0 ? $"{a} {b} " : "")}{detail}"));
    }

    /// <summary>Adds text to the trace, if there is one; it is not part of the hash.</summary>
    public void Note(SimulatedProcess? process, string text)
    {
        if (_trace is null) return;
        if (_trace.Count == TraceLinesMax) _trace.Dequeue();
        _trace.Enqueue(string.Create(CultureInfo.InvariantCulture, $"{Now.TotalSeconds,12:F6} {process?.Name ?? "",-10} {text}"));
    }

    /// <summary>Called with every event, before the step that it is part of ends.</summary>
    public Action<string, SimulatedProcess?>? Watch { get; set; }

    /// <summary>Does something before any other work goes on: a crash at this very moment.</summary>
    public void Interrupt(Action action) => _interrupt += action;

    /// <summary>Runs <paramref name="action"/> after a time, whatever becomes of the gateways meanwhile.</summary>
    public void After(TimeSpan delay, Action action)
    {
        var timer = new VirtualTimer(this, Outside, static s => ((Action)s!)(), action);
        timer.Change(delay, Timeout.InfiniteTimeSpan);
    }

    /// <summary>Lets virtual time pass for a scenario.</summary>
    public Task DelayAsync(TimeSpan delay)
    {
        var done = new TaskCompletionSource();
        After(delay, done.SetResult);
        return done.Task;
    }

    public void Enqueue(SimulatedProcess owner, SendOrPostCallback callback, object? state)
    {
        if (Environment.CurrentManagedThreadId != _thread)
        {
            _failure ??= new SimulationException($"Work of {owner.Name} came from another thread: the engine left the scheduler that it was started on.\n{Environment.StackTrace}");
            return;
        }

        _ready.Add(new WorkItem(owner, callback, state));
    }

    public void Schedule(VirtualTimer timer, long version, TimeSpan due) => _timers.Enqueue((timer, version), (due.Ticks, _disorder > 0 ? _tieRandom.Next() : Steps));

    private void RunNext()
    {
        var index = _disorder > 0 && _random.NextDouble() < _disorder ? _random.Next(_ready.Count) : 0;
        var item = _ready[index];
        _ready.RemoveAt(index);
        if (item.Owner.Admits(item.Callback, item.State)) Run(item.Owner, item.Callback, item.State);
    }

    /// <summary>Goes on to the next timer if it is no further than <paramref name="reach"/> away.</summary>
    private bool FireNextTimer(TimeSpan reach)
    {
        while (_timers.TryPeek(out var entry, out var priority))
        {
            var isDue = entry.Timer.Version == entry.Version;
            if (isDue && priority.Due - Now.Ticks > reach.Ticks) return false;
            _timers.Dequeue();
            if (!isDue) continue;
            if (priority.Due > Now.Ticks) Now = new TimeSpan(priority.Due);
            entry.Timer.Fire();
            return true;
        }

        return false;
    }

    /// <summary>Runs work as its owner: what it awaits goes on as the same owner.</summary>
    public void Run(SimulatedProcess owner, SendOrPostCallback callback, object? state)
    {
        SynchronizationContext.SetSynchronizationContext(owner);
        try
        {
            callback(state);
        }
        catch (Exception e)
        {
            _failure ??= new SimulationException($"Work of {owner.Name} threw outside of any task: {e}", e);
        }
    }

    private void Fold(ulong value) => _hash = BitOperations.RotateLeft((_hash ^ value) * 1099511628211, 7);
}
