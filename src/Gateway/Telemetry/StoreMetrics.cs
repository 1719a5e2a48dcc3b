using System.Diagnostics.Metrics;
using Gateway.Backends.Core;
using Gateway.Backends.Resilience;
using Gateway.Configuration;

namespace Gateway.Telemetry;

/// <summary>The metrics of stores: requests and what they cost, and how the stores do.</summary>
internal static class StoreMetrics
{
    private static readonly string[] ByStore = [Tag.Store];

    public static void AddTo(InstrumentBook book, IMetricSource source, PricesSection prices)
    {
        var stores = book.Begin("Stores");
        stores.Histogram("gateway.store.request.duration", "Time of one request to the store, each repetition counted. Of a listing the first page.", [Tag.Store, Tag.StoreOperation, Tag.ErrorType], Buckets.Requests,
            () => from s in source.Stores from d in s.Requests.Durations select new BucketSeries(d.Durations, 0, [.. Tags(s.Name, null, d.Operation, d.Error)], d.Durations.ToArray));
        stores.Counter("gateway.store.requests", "{request}", "Requests sent to the store, each repetition counted; a listing counts a request for every 1,000 names.", [Tag.Store, Tag.Volume, Tag.StoreOperation, Tag.ErrorType],
            () => from r in Requests(source) from q in r.Requests.Requests select new Measurement<long>(q.Count, Tags(r.Store.Name, r.Volume, q.Operation, q.Error)));
        stores.Counter("gateway.store.io", "By", "Bytes of the blobs that were put (transmit) and read (receive).", [Tag.Store, Tag.Volume, Tag.NetworkDirection],
            () => from r in Requests(source)
                  from direction in ((string, long)[])[("transmit", r.Requests.SentBytes), ("receive", r.Requests.ReceivedBytes)]
                  select new Measurement<long>(direction.Item2, [.. Tags(r.Store.Name, r.Volume), Tag.Of(Tag.NetworkDirection, direction.Item1)]));
        stores.Counter("gateway.store.cost", "{USD}", "Estimate of what the requests and the bytes read have cost, by telemetry.prices. Only for stores of type s3.", [Tag.Store, Tag.Volume, Tag.StoreOperation],
            () => from r in Requests(source) where r.Store.Type == "s3" from operation in Enum.GetValues<StoreOperation>() select new Measurement<double>(prices.CostOf(operation, r.Requests), Tags(r.Store.Name, r.Volume, operation, null)));
        AddHealth(stores, source);
    }

    private static void AddHealth(InstrumentBook.Section stores, IMetricSource source)
    {
        stores.Counter("gateway.store.retries", "{request}", "Requests that were sent again after a failure.", ByStore, () => Read(source, h => h.Retries));
        stores.Counter("gateway.store.hedges", "{request}", "Reads that were sent a second time because the first took long.", ByStore, () => Read(source, h => h.Hedges));
        stores.Counter("gateway.store.hedges.won", "{request}", "Those of them that were answered first.", ByStore, () => Read(source, h => h.HedgesWon));
        stores.Counter("gateway.store.timeouts", "{request}", "Requests that had no answer in time.", ByStore, () => Read(source, h => h.Timeouts));
        stores.Counter("gateway.store.rejected", "{request}", "Requests that were not sent, since the breaker was open or too many waited.", ByStore, () => Read(source, h => h.Rejected));
        stores.Gauge("gateway.breaker.state", "{store}", "1 for the state that the store's circuit breaker is in, 0 for the others.", [Tag.Store, Tag.BreakerState],
            () => from s in source.Stores from state in Enum.GetValues<CircuitState>() select new Measurement<long>(s.Health.State == state ? 1 : 0, Tag.Of(Tag.Store, s.Name), Tag.Of(Tag.BreakerState, Tag.SnakeCase(state))));
        stores.Gauge("gateway.store.away", "s", "Time for which the store has done nothing of what it was asked; 0 while it works.", ByStore, () => Read(source, h => h.AwayFor.TotalSeconds));
        stores.Gauge("gateway.store.refused", "s", "Time for which the store has refused our credentials, or has had no bucket; 0 while it works.", ByStore, () => Read(source, h => h.RefusedFor.TotalSeconds));
    }

    private static IEnumerable<Measurement<T>> Read<T>(IMetricSource source, Func<StoreHealth, T> read)
        where T : struct => from s in source.Stores select new Measurement<T>(read(s.Health), Tag.Of(Tag.Store, s.Name));

    /// <summary>What was asked of each store for each volume, by the volume's path.</summary>
    private static IEnumerable<(MeteredStore Store, string? Volume, VolumeRequests Requests)> Requests(IMetricSource source) =>
        from s in source.Stores from v in s.Requests.Volumes select (s, v.Volume is null ? null : $"{s.Name}/{v.Volume}", v.Requests);

    private static List<KeyValuePair<string, object?>> Tags(string store, string? volume, StoreOperation? operation = null, string? error = null)
    {
        var tags = new List<KeyValuePair<string, object?>> { Tag.Of(Tag.Store, store) };
        if (volume is not null) tags.Add(Tag.Of(Tag.Volume, volume));
        if (operation is { } known) tags.Add(Tag.Of(Tag.StoreOperation, Tag.SnakeCase(known)));
        if (error is not null) tags.Add(Tag.Of(Tag.ErrorType, error));
        return tags;
    }
}
