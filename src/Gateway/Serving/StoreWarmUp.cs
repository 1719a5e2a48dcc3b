using Gateway.Backends.Core;
using Gateway.Configuration;
using Gateway.Tcmu;

namespace Gateway.Serving;

/// <summary>
/// Asks the stores of the devices that are there one thing, while the host is put together: what comes with a process's first request (credentials, names, the
/// code of connections and signatures) has then been, when a volume is opened and its initiators wait.
/// </summary>
internal static class StoreWarmUp
{
    /// <summary>Is not there: only that there is an answer counts.</summary>
    private static readonly BlobKey Key = new("tcmu-gateway-start");

    private static readonly TimeSpan TimeMax = TimeSpan.FromSeconds(2);

    /// <summary>Begins, and returns.</summary>
    public static void Begin(GatewayConfiguration configuration, KernelRoots roots) => _ = Task.Run(() => RunAsync(configuration, roots));

    internal static async Task RunAsync(GatewayConfiguration configuration, KernelRoots roots)
    {
        try
        {
            var devices = new UioDiscovery(new KernelFiles(), roots.Sysfs, roots.Dev, TimeProvider.System).Scan();
            await Task.WhenAll(devices.Select(d => d.Name.Path.Split('/')[0]).Distinct(StringComparer.Ordinal).Where(IsRemote).Select(AskAsync));
        }
        catch (Exception)
        {
            // Nothing comes of it: whatever it is, the start or the opening meets it, too, and says so.
        }

        bool IsRemote(string store) => configuration.Stores.TryGetValue(store, out var section) && section.Type is "s3" or "grpc";

        async Task AskAsync(string name)
        {
            using var limit = new CancellationTokenSource(TimeMax);
            await using var stores = new StoreSet(configuration, TimeProvider.System);
            await stores.Get(name).GetLengthAsync(Key, limit.Token); // With all that stands before it: that takes its time at first, too.
        }
    }
}
