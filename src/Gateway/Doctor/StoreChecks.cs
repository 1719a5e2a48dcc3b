using System.Globalization;
using Gateway.Backends.Core;
using Gateway.Configuration;

namespace Gateway.Doctor;

/// <summary>The stores: whether each answers, and how fast, by looks that change nothing.</summary>
/// <param name="configuration">Which stores; null: none are known.</param>
/// <param name="open">Makes a store that repeats nothing.</param>
/// <param name="time">Clock of the latencies.</param>
internal sealed class StoreChecks(GatewayConfiguration? configuration, Func<string, IBlobStore> open, TimeProvider time) : ICheckFamily
{
    private const int Looks = 7;

    /// <summary>For one store in all.</summary>
    private static readonly TimeSpan TimeMax = TimeSpan.FromSeconds(15);

    private static readonly TimeSpan LookGood = TimeSpan.FromMilliseconds(100);
    private static readonly TimeSpan LookSlow = TimeSpan.FromMilliseconds(500);

    public string Name => "store";

    public async Task<IReadOnlyList<Finding>> RunAsync(CancellationToken cancellationToken)
    {
        var found = new Findings(Name);
        if (configuration is null) found.NotLooked("stores", "there is no valid configuration", null);
        var looks = (configuration?.Stores.Keys ?? Enumerable.Empty<string>()).Order(StringComparer.Ordinal).Select(name => LookAsync(name, cancellationToken)).ToArray();
        foreach (var look in looks)
            foreach (var finding in await look) found.Add(finding);
        return found.All;
    }

    private async Task<IReadOnlyList<Finding>> LookAsync(string name, CancellationToken cancellationToken)
    {
        var found = new Findings(Name);
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        limit.CancelAfter(TimeMax);
        var took = new List<TimeSpan>();
        try
        {
            var store = open(name);
            // Not waited for longer than that, whatever a store does: a directory may be on a file system that hangs. Then it is not disposed of, either.
            await Task.Run(() => MeasureAsync(store, took, limit.Token), limit.Token).WaitAsync(limit.Token);
            await store.DisposeAsync();
            took.Sort();
            Judge(found, name, took[took.Count / 2], took[^1], took.Count);
        }
        catch (BlobStoreException e)
        {
            found.Fault(name, e.Message, e.Kind switch
            {
                BlobErrorKind.AccessDenied => "Correct the store's credentials; they may be replaced while the gateway runs.",
                BlobErrorKind.NotFound => "Correct the store's place in the configuration, or make it.",
                _ => $"Can this host reach the store? 'tcmu-gateway store test {name}' tries all that volumes need.",
            });
        }
        catch (ConfigurationException e)
        {
            found.Fault(name, e.Message, "Correct the configuration.");
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            found.Fault(name, string.Create(CultureInfo.InvariantCulture, $"{took.Count} of {Looks} looks were answered within {TimeMax.TotalSeconds:0} s"), "Is the network to the store slow, or does it lose packets? Is the store overloaded?");
        }

        return found.All;
    }

    /// <summary>A look at a blob that is not there: the cheapest request that goes all the way. The first one, which connects, does not count.</summary>
    private async Task MeasureAsync(IBlobStore store, List<TimeSpan> took, CancellationToken cancellationToken)
    {
        var key = new BlobKey(".doctor");
        await store.GetLengthAsync(key, cancellationToken);
        await foreach (var _ in store.ListFoldersAsync("", cancellationToken)) break; // Says so if the bucket is not there.
        for (var i = 0; i < Looks; i++)
        {
            var before = time.GetTimestamp();
            await store.GetLengthAsync(key, cancellationToken);
            took.Add(time.GetElapsedTime(before));
        }
    }

    private static void Judge(Findings found, string name, TimeSpan median, TimeSpan most, int looks)
    {
        var text = string.Create(CultureInfo.InvariantCulture, $"a look takes {median.TotalMilliseconds:0.00} ms, the slowest of {looks} {most.TotalMilliseconds:0.00} ms");
        if (median > LookSlow) found.Warning(name, $"{text}: reads of what is in no cache take at least as long", "A bucket in a region nearby, more cache (volumes.cacheBytes, cacheFileBytes), or a better network.");
        else if (median > LookGood) found.Note(name, text, "Reads of what is in no cache take at least as long: volumes.cacheFileBytes keeps them on local disk.");
        else found.Ok(name, text);
    }
}
