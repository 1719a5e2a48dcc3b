using Amazon.Runtime;
using Amazon.S3;
using Gateway.Tests.Live;
using Gateway.Tests.Shared.Monitoring;
using Gateway.Tests.Shared.Stores;
using Gateway.Tests.Telemetry;
using Xunit;
using Xunit.Abstractions;

namespace Gateway.Tests.Monitoring;

/// <summary>A real Prometheus scrapes the whole daemon, on a real RGW, under load and through an outage: whatever the dashboards and rules ask has an answer.</summary>
/// <remarks>A name that is wrong gives no error in Prometheus, but an empty panel, or an alert that never fires.</remarks>
[Collection(ProcessMeters.Name)]
public sealed class PrometheusQueriesTests(ITestOutputHelper output)
{
    private const string VolumePath = "cloud/disk";
    private const string Bucket = "monitoring";
    private const int StepSeconds = 1;
    private static readonly TimeSpan ScrapeEvery = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan PollInterval = TimeSpan.FromSeconds(1);

    /// <summary>Everything takes seconds on a machine with nothing else to do.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(5);

    private static readonly Dictionary<string, string> Variables = new()
    {
        ["instance"] = ".*",
        ["store"] = "cloud",
        ["volume"] = VolumePath,
        ["__rate_interval"] = "15s",
        ["__range"] = "10m",
    };

    [SkippableFact, Trait("Category", "Server")]
    public async Task Queries_OfDashboardsAndRules_HaveDataFromAGatewayUnderLoadAndInAnOutage()
    {
        Skip.If(PrometheusServer.SkipReason is not null, PrometheusServer.SkipReason);
        Skip.If(RgwServer.SkipReason is not null, RgwServer.SkipReason);
        var rgw = await RgwServer.StartAsync("--store", "memstore");
        try
        {
            await using var gateway = await NewGatewayAsync(rgw);
            var initiator = gateway.Use(gateway.AddDevice(VolumePath));
            await gateway.StartAsync();
            await using var prometheus = await PrometheusServer.StartAsync(new PrometheusSettings($"127.0.0.1:{gateway.Port}", Deployed.Rules, ScrapeEvery, ScrapeEvery));
            var (api, from) = (prometheus.Api, Now());

            // Little memory: what is read comes from the journal, the store, and then the cache file.
            initiator.Load(readsPerSecond: 60, writesPerSecond: 20, blocks: 4, span: 1024, flushesPerSecond: 5);
            foreach (var source in (string[])["store", "journal", "cache_file"])
                await UntilAsync(api, $"gateway_cache_fetch_duration_seconds_count{{gateway_cache_source=\"{source}\"}} > 0");
            await gateway.StopAsync();
            await gateway.StartAsync();
            await UntilAsync(api, "changes(gateway_volume_epoch[1m]) > 0");
            await rgw.ControlAsync("rgw-kill");
            initiator.Load(readsPerSecond: 20, writesPerSecond: 100, blocks: 16, span: 8192, flushesPerSecond: 5);
            await UntilAsync(api, "ALERTS{alertname=\"TcmuGatewayStoreAway\", alertstate=\"firing\"}");
            await UntilAsync(api, "gateway_journal_backpressure_duration_seconds_count > 0");
            await rgw.ControlAsync("rgw-start");
            initiator.Load(readsPerSecond: 20, writesPerSecond: 10, flushesPerSecond: 5);
            await UntilAsync(api, "gateway_store_away_seconds{gateway_store=\"cloud\"} == 0");

            var queries = Deployed.DashboardQueries(Variables)
                .Concat((await api.RecordedAsync()).Select(q => new MonitoringQuery("rules: recorded", q)))
                .Concat((await api.AlertsAsync()).SelectMany(a => MonitoringQueries.SelectorsOf(a.Query).Select(s => new MonitoringQuery($"rules: {a.Name}", s))))
                .ToArray();
            var empty = await WithoutDataAsync(api, queries, from);
            Assert.True(empty.Count == 0, "There was never data for:\n" + string.Join('\n', empty.Select(q => $"{q.Where}: {q.Expression}")));
            output.WriteLine($"{queries.Length} queries, each with data; {(await api.AlertsAsync()).Count} alerts.");
            initiator.Load(0, 0);
        }
        finally
        {
            rgw.Stop();
        }
    }

    private static double Now() => TimeProvider.System.GetUtcNow().ToUnixTimeMilliseconds() / 1000.0;

    private static async Task<LiveGateway> NewGatewayAsync(RgwServer rgw)
    {
        using (var s3 = new AmazonS3Client(new BasicAWSCredentials(rgw.AccessKeyId, rgw.SecretAccessKey), new AmazonS3Config { ServiceURL = rgw.Endpoint.ToString(), ForcePathStyle = true, AuthenticationRegion = "us-east-1" }))
            await s3.PutBucketAsync(Bucket);
        var gateway = new LiveGateway
        {
            Stores = $$"""
                "cloud": { "type": "s3", "endpoint": "{{rgw.Endpoint.GetLeftPart(UriPartial.Authority)}}", "bucket": "{{Bucket}}", "accessKeyId": "{{rgw.AccessKeyId}}", "secretAccessKeyFile": "{{rgw.SecretFile}}" }
                """,
        };
        gateway.Sections = $$"""
            "volumes": {
              "cacheBytes": 0, "readAheadBytes": 0, "cacheFileBytes": {{16 << 20}}, "cacheDirectory": "{{Path.Combine(gateway.Folder, "cache")}}",
              "sealAfterSeconds": 0.5, "highWaterPercent": 10, "commandTimeoutSeconds": 2, "leaseSeconds": 60
            }
            """;
        await gateway.CreateVolumeAsync(VolumePath);
        return gateway;
    }

    private static async Task UntilAsync(PrometheusApi api, string expression)
    {
        var since = TimeProvider.System.GetTimestamp();
        while ((await api.QueryAsync(expression)).Count == 0)
        {
            Assert.True(TimeProvider.System.GetElapsedTime(since) < Patience, $"This did not become true within {Patience}: {expression}");
            await Task.Delay(PollInterval, TimeProvider.System);
        }
    }

    /// <summary>Those that had no data at any moment of the run. What needs a few more samples is given its time.</summary>
    private static async Task<IReadOnlyList<MonitoringQuery>> WithoutDataAsync(PrometheusApi api, IEnumerable<MonitoringQuery> queries, double from)
    {
        var since = TimeProvider.System.GetTimestamp();
        List<MonitoringQuery> left = [.. queries];
        while (true)
        {
            var empty = new List<MonitoringQuery>();
            foreach (var query in left)
                if ((await api.QueryAsync(query.Expression, from, Now(), StepSeconds)).All(s => s.Samples.All(v => double.IsNaN(v.Value)))) empty.Add(query);
            left = empty;
            if (left.Count == 0 || TimeProvider.System.GetElapsedTime(since) > TimeSpan.FromSeconds(30)) return left;
            await Task.Delay(PollInterval, TimeProvider.System);
        }
    }
}
