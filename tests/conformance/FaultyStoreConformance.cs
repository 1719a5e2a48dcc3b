using Gateway.Backends.Core;
using Gateway.Backends.Resilience;
using Microsoft.Extensions.Logging.Abstractions;

namespace Gateway.Conformance.Tests;

/// <summary>A store behind latency, of whose reads a fifth fails; and what stands before every store, which must make a good one of that.</summary>
internal static class InjectedFaults
{
    private static readonly FaultPlan Plan = new()
    {
        Latency = TimeSpan.FromMilliseconds(0.5),
        Jitter = TimeSpan.FromMilliseconds(1),
        Unavailable = 0.08,
        Throttled = 0.04,
        Reset = 0.08,
        Hole = 0.005,
        HoleTime = TimeSpan.FromMilliseconds(50),
        SparesWrites = true,
    };

    private static readonly ResilienceOptions Options = new() { Retries = 20, RetryDelayMin = TimeSpan.FromMilliseconds(1), RetryDelayMax = TimeSpan.FromMilliseconds(5) };

    /// <summary>The store as a bad line shows it.</summary>
    public static IBlobStore Into(IBlobStore store) => new FaultInjectingStore(store, new Random(1), TimeProvider.System) { Plan = Plan };

    /// <summary>What serves before it.</summary>
    public static ResilientStore Guard(IBlobStore faulty) => new(faulty, Options, TimeProvider.System, new Random(1), NullLogger.Instance);
}

/// <summary>The common suite on a store under faults.</summary>
public abstract class FaultyStoreConformance : BlobStoreConformance
{
    private ResilientStore? _store;

    /// <summary>The store without faults; asked for once. Skips the test where it cannot run.</summary>
    protected abstract Task<IBlobStore> OpenBareAsync();

    public override async Task DisposeAsync()
    {
        await base.DisposeAsync();
        if (_store is not null) await _store.DisposeAsync();
    }

    protected override async Task<IBlobStore> OpenViewAsync() => (_store ??= InjectedFaults.Guard(InjectedFaults.Into(await OpenBareAsync()))).Foreground;
}
