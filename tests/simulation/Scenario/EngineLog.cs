using Gateway.Simulation.Scheduling;
using Microsoft.Extensions.Logging;

namespace Gateway.Simulation.Scenario;

/// <summary>What the engine logs: into the trace, and what the model wants to know of it.</summary>
internal sealed class EngineLog(World world, SimulatedProcess process) : ILogger
{
    /// <summary>Writes waited for journal space.</summary>
    public bool JournalWasFull { get; private set; }

    /// <summary>Journal bytes that the last closing left behind; null before it.</summary>
    public long? PendingAtClose { get; private set; }

    public IDisposable? BeginScope<TState>(TState state)
        where TState : notnull => null;

    public bool IsEnabled(LogLevel logLevel) => world.IsTracing || logLevel >= LogLevel.Information;

    public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
    {
        if (eventId.Name == "JournalFull") JournalWasFull = true;
        if (eventId.Name == "VolumeClosed" && state is IReadOnlyList<KeyValuePair<string, object?>> values)
            PendingAtClose = (long)values.First(v => v.Key == "PendingBytes").Value!;
        // The text is not part of the history's hash: what is logged at which level must decide nothing.
        if (world.IsTracing) world.Note(process, $"log {logLevel} {formatter(state, exception)} {exception}");
    }
}
