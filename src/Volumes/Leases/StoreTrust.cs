using System.Runtime.CompilerServices;
using Gateway.Backends.Core;
using Microsoft.Extensions.Logging;

namespace Gateway.Volumes.Leases;

/// <summary>Has each store tested once, before a volume in it is opened for writing from here for the first time: fencing rests on what some stores only seem to do.</summary>
/// <remarks>Thread safe; openings of one store wait for one test. A store that could not be reached is tested again at the next opening.</remarks>
internal sealed class StoreTrust
{
    public static readonly StoreTrust OfThisProcess = new();

    private readonly ConditionalWeakTable<IBlobStore, Entry> _stores = [];

    private sealed class Entry
    {
        private volatile StoreSelfTestResult? _result;

        public SemaphoreSlim Turn { get; } = new(1, 1);

        public StoreSelfTestResult? Result
        {
            get => _result;
            set => _result = value;
        }
    }

    /// <summary>True if the store was tested in this process, to the end, and failed.</summary>
    public bool HasFailed(IBlobStore store) => _stores.TryGetValue(store, out var entry) && entry.Result is { ErrorKind: null, Passed: false };

    /// <exception cref="VolumeException">The store failed its test, and the options do not declare a single gateway.</exception>
    /// <exception cref="BlobStoreException">It could not be tested.</exception>
    public async Task CheckAsync(IBlobStore store, VolumeOptions options, Func<Guid> newNonce, ILogger logger, CancellationToken cancellationToken)
    {
        var entry = _stores.GetOrCreateValue(store);
        await entry.Turn.WaitAsync(cancellationToken);
        try
        {
            if (entry.Result is not { ErrorKind: null }) entry.Result = await StoreSelfTest.RunAsync(store, new Random(newNonce().GetHashCode()), cancellationToken);
        }
        finally
        {
            entry.Turn.Release();
        }

        var result = entry.Result;
        if (result.Passed) return;
        if (result.ErrorKind is { } kind) throw new BlobStoreException(kind, $"{store.Description} could not be tested. {result}");
        if (options.LeaseLength > TimeSpan.Zero)
            throw new VolumeException(VolumeErrorKind.Unsupported, $"{store.Description} does not do what fencing rests on, so no volume in it is opened for writing. {result} Use another store, or a newer version of this one. If only one gateway ever uses it, say so with volumes.leaseSeconds = 0.");
        VolumeLog.StoreNotTrusted(logger, store.Description, result.ToString());
    }
}
