using System.Threading.Channels;
using Microsoft.Extensions.Logging;

namespace Gateway.Control;

/// <summary>One thing that the daemon logged.</summary>
internal sealed record LoggedEvent(long Sequence, DateTimeOffset At, LogLevel Level, string Category, EventId Id, string Message)
{
    public string LevelName => Level switch { LogLevel.Warning => "warning", LogLevel.Error => "error", LogLevel.Critical => "critical", _ => "information" };
}

/// <summary>Keeps the last things that the daemon logged, and hands them to whoever watches. Thread safe; nobody who watches slowly holds up a logger.</summary>
internal sealed class EventLog(TimeProvider time) : ILoggerProvider
{
    /// <summary>Events that are kept.</summary>
    public const int KeptMax = 1000;

    private readonly Lock _gate = new();
    private readonly Queue<LoggedEvent> _kept = new();
    private readonly List<Channel<LoggedEvent>> _watchers = [];
    private long _sequence;

    public ILogger CreateLogger(string categoryName) => new Writer(this, categoryName);

    /// <summary>The last ones, and what comes after them. One that does not keep up misses some: their sequence numbers tell.</summary>
    /// <param name="last">How many of the last ones come first.</param>
    /// <param name="follow">Whether to wait for more.</param>
    /// <param name="cancellationToken">Ends it.</param>
    public async IAsyncEnumerable<LoggedEvent> WatchAsync(int last, bool follow, [System.Runtime.CompilerServices.EnumeratorCancellation] CancellationToken cancellationToken)
    {
        var channel = Channel.CreateBounded<LoggedEvent>(new BoundedChannelOptions(KeptMax) { FullMode = BoundedChannelFullMode.DropOldest, SingleReader = true });
        LoggedEvent[] kept;
        lock (_gate)
        {
            kept = [.. _kept.TakeLast(last)];
            if (follow) _watchers.Add(channel);
        }

        try
        {
            foreach (var one in kept) yield return one;
            if (!follow) yield break;
            await foreach (var one in channel.Reader.ReadAllAsync(cancellationToken)) yield return one;
        }
        finally
        {
            lock (_gate) _watchers.Remove(channel);
        }
    }

    /// <summary>What came after one of them, of which the last <paramref name="max"/>.</summary>
    public IReadOnlyList<LoggedEvent> After(long sequence, int max)
    {
        lock (_gate) return [.. _kept.Where(e => e.Sequence > sequence).TakeLast(max)];
    }

    public void Dispose()
    {
        lock (_gate)
            foreach (var watcher in _watchers) watcher.Writer.TryComplete();
    }

    private void Add(LogLevel level, string category, EventId id, string message)
    {
        lock (_gate)
        {
            var one = new LoggedEvent(++_sequence, time.GetUtcNow(), level, category, id, message);
            _kept.Enqueue(one);
            if (_kept.Count > KeptMax) _kept.Dequeue();
            foreach (var watcher in _watchers) watcher.Writer.TryWrite(one);
        }
    }

    private sealed class Writer(EventLog log, string category) : ILogger
    {
        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => logLevel is >= LogLevel.Information and < LogLevel.None;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            if (IsEnabled(logLevel)) log.Add(logLevel, category, eventId, formatter(state, exception));
        }
    }
}
