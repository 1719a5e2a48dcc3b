using Gateway.Backends.Core;
using Gateway.Backends.Resilience;
using Gateway.Scsi;
using Gateway.Scsi.Interop;
using Gateway.Serving;
using Gateway.Tcmu;
using Gateway.Tests.Shared;
using Gateway.Tests.Shared.Stores;
using Gateway.Volumes.Tests;
using Microsoft.Extensions.Logging;

namespace Gateway.Tests;

/// <summary>A device in memory behind the policy for long outages, beside a store that fails as the test says, on a clock that the test moves.</summary>
internal sealed class OutageWorld : ILogger, IAsyncDisposable
{
    public static readonly TimeSpan Long = TimeSpan.FromSeconds(600);
    private static readonly BlockRange Range = new(8, 1);
    private readonly NativeBuffer _memory = new(512);
    private readonly ScatterList _data = new();

    public OutageWorld(LongOutagePolicy policy)
    {
        SynchronizationContext.SetSynchronizationContext(null); // What the clock sets going is over when the clock has been moved.
        Store = new ResilientStore(
            new FaultyBlobStore(new MemoryBlobStore(), 1, Time) { BeforeRequest = (_, _, _) => Failure is { } kind ? throw new BlobStoreException(kind, $"{kind} by design of the test.") : default },
            new ResilienceOptions { Retries = 0 }, Time, new Random(1), this);
        Watch = new OutageWatch(TcmuDeviceName.Parse("tcm-user/0/dev/gateway/local/v"), Store, new OutageOptions(policy, Long), Time, this);
        Device = new OutageDevice(Inner, Watch);
        _data.Add(_memory);
    }

    public ManualTime Time { get; } = new();

    public MemoryBlockDevice Inner { get; } = new(64);

    public ResilientStore Store { get; }

    public OutageWatch Watch { get; }

    public OutageDevice Device { get; }

    /// <summary>What every request of the store ends in; null: it does its work.</summary>
    public BlobErrorKind? Failure { get; set; }

    public List<(int Id, LogLevel Level, string Text)> Log { get; } = [];

    public async Task AskAsync()
    {
        try
        {
            await Store.Background.GetLengthAsync(new("a"), default);
        }
        catch (BlobStoreException)
        {
            // As the test has it.
        }
    }

    /// <summary>The store fails like this from now on, and somebody has noticed.</summary>
    public async Task BeginAsync(BlobErrorKind kind = BlobErrorKind.Unavailable)
    {
        Failure = kind;
        await AskAsync();
    }

    public async Task<BlockError> ReadAsync() => (await Device.ReadAsync(Range, _data, default)).Error;

    public async Task<BlockError> WriteAsync() => (await Device.WriteAsync(Range, _data, false, default)).Error;

    public async Task<BlockError> ZeroAsync() => (await Device.ZeroAsync(Range, false, default)).Error;

    public async Task<BlockError> FlushAsync() => (await Device.FlushAsync(default)).Error;

    /// <summary>What reads, writes, unmaps, flushes and TEST UNIT READY end in now.</summary>
    public async Task<BlockError[]> AllAsync() => [await ReadAsync(), await WriteAsync(), await ZeroAsync(), await FlushAsync(), Device.Readiness.Error];

    public async ValueTask DisposeAsync()
    {
        await Watch.DisposeAsync();
        await Store.DisposeAsync();
        _memory.Dispose();
    }

    public IDisposable? BeginScope<TState>(TState state)
        where TState : notnull => null;

    public bool IsEnabled(LogLevel logLevel) => true;

    void ILogger.Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
    {
        if (eventId.Id is >= 100 and < 200) Log.Add((eventId.Id, logLevel, formatter(state, exception)));
    }
}
