using System.Net;
using System.Net.Sockets;
using System.Text;
using System.Text.Json;
using Gateway.Backends.File;
using Gateway.Serving;
using Gateway.Tests.Live;
using Gateway.Volumes;
using Grpc.Health.V1;
using Grpc.Net.Client;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;
using HealthClient = Grpc.Health.V1.Health.HealthClient;

namespace Gateway.Tests.Http;

/// <summary>Health and the page of a whole daemon, asked over a real connection; its rings are simulated.</summary>
public sealed class HttpServerTests : IAsyncLifetime
{
    private readonly LiveGateway _gateway = new();
    private HttpClient _client = null!;

    public Task InitializeAsync()
    {
        _client = new HttpClient { BaseAddress = _gateway.Address, Timeout = LiveGateway.Patience };
        return Task.CompletedTask;
    }

    public async Task DisposeAsync()
    {
        _client.Dispose();
        await _gateway.DisposeAsync();
    }

    [Fact]
    public async Task Readyz_VolumeServed_IsOkAndTellsOfItByName()
    {
        await StartAsync();

        var ready = await UntilReadyzAsync("ok");

        var volume = Assert.Single(ready.GetProperty("volumes").EnumerateArray().ToArray());
        Assert.Equal(("local/v", "serving"), (volume.GetProperty("volume").GetString(), volume.GetProperty("condition").GetString()));
        Assert.InRange(volume.GetProperty("leaseSecondsLeft").GetDouble(), 1, 180);
        Assert.Equal("ok\n", await _client.GetStringAsync("/livez"));
    }

    [Fact]
    public async Task Readyz_AnotherGatewayServesTheVolume_IsDegradedWith200()
    {
        await _gateway.CreateVolumeAsync("local/v");
        await using var store = new FileBlobStore(new FileStoreOptions { Path = _gateway.BucketPath });
        var journal = new JournalOptions { Directory = Path.Combine(_gateway.Folder, "other"), CapacityBytes = JournalOptions.CapacityMinBytes };
        await using var owner = await new VolumeOpener(store, new VolumeOptions(), journal, "another gateway", TimeProvider.System, new Random(1), NullLogger.Instance).OpenAsync("v", CancellationToken.None);
        _gateway.AddDevice("local/v");
        await _gateway.StartAsync();
        await _gateway.LoggedAsync(800);

        var ready = await UntilReadyzAsync("degraded");

        Assert.Equal("standby", ready.GetProperty("volumes")[0].GetProperty("condition").GetString());
        Assert.Contains("another gateway", ready.GetProperty("reasons")[0].GetString(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Readyz_VolumeThatIsNotThere_Is503AndSaysSoAndTheProcessLives()
    {
        _gateway.AddDevice("local/nowhere");
        await _gateway.StartAsync();
        await _gateway.LoggedAsync(800);

        var ready = await UntilReadyzAsync("unready", r => r.GetProperty("volumes").EnumerateArray().Any(v => v.GetProperty("condition").GetString() == "notOpen"));

        Assert.Contains("There is no volume 'nowhere'", ready.GetProperty("reasons")[0].GetString(), StringComparison.Ordinal);
        Assert.Equal(HttpStatusCode.ServiceUnavailable, (await _client.GetAsync("/readyz")).StatusCode);
        Assert.Equal(HttpStatusCode.OK, (await _client.GetAsync("/livez")).StatusCode);
    }

    /// <summary>The one volume whose store is away is told of, and neither it nor the gateway is unready for that.</summary>
    [Fact]
    public async Task Readyz_StoreAwayWhenTheVolumeIsToBeOpened_IsDegraded()
    {
        _gateway.Stores = $"\"far\": {{ \"type\": \"grpc\", \"address\": \"http://127.0.0.1:{LiveGateway.FreePort()}\", \"resilience\": {{ \"retries\": 0 }} }}";
        _gateway.AddDevice("far/v");
        await _gateway.StartAsync();
        await _gateway.LoggedAsync(800);

        var ready = await UntilReadyzAsync("degraded", r => r.GetProperty("volumes").EnumerateArray().Any(v => v.GetProperty("condition").GetString() == "storeAway"));

        Assert.NotEmpty(ready.GetProperty("reasons")[0].GetString()!);
    }

    /// <summary>A ring thread that does not come back from the kernel: unready after its commands' time, for the health service, too; alive all the same.</summary>
    [Fact]
    public async Task Readyz_RingThatHangs_Is503UntilItMoves()
    {
        using var mayRing = new ManualResetEventSlim(true);
        _gateway.Between = port => new HangingPort(port, mayRing);
        _gateway.Sections = "\"volumes\": { \"commandTimeoutSeconds\": 1 }";
        var ring = await StartAsync();
        await UntilReadyzAsync("ok");
        using var channel = GrpcChannel.ForAddress("http://gateway", new GrpcChannelOptions { HttpHandler = Gateway.Tests.Live.UnixSockets.Handler(_gateway.SocketPath) });
        var health = new HealthClient(channel);
        Assert.Equal(HealthCheckResponse.Types.ServingStatus.Serving, (await health.CheckAsync(new HealthCheckRequest())).Status);
        mayRing.Reset();
        _gateway.Use(ring).Load(10, 0);

        var ready = await UntilReadyzAsync("unready");

        Assert.Equal("stuck", ready.GetProperty("volumes")[0].GetProperty("condition").GetString());
        Assert.Equal(HttpStatusCode.OK, (await _client.GetAsync("/livez")).StatusCode);
        Assert.Equal(HealthCheckResponse.Types.ServingStatus.NotServing, (await health.CheckAsync(new HealthCheckRequest { Service = "local/v" })).Status);
        Assert.Contains("disk0", (await _gateway.LoggedAsync(820)).Message, StringComparison.Ordinal);
        mayRing.Set();
        await UntilReadyzAsync("ok");
    }

    [Fact]
    public async Task Api_UnderLoad_TellsRatesLatenciesAndHistory()
    {
        var ring = await StartAsync();
        _gateway.Use(ring).Load(200, 200);

        var status = await UntilAsync("/api/status", s => s.GetProperty("now") is { ValueKind: JsonValueKind.Object } now && now.GetProperty("writesPerSecond").GetDouble() > 0 && now.GetProperty("readsPerSecond").GetDouble() > 0);

        var volume = status.GetProperty("volumes")[0];
        Assert.Equal(("local/v", "held", 64L << 20), (volume.GetProperty("volume").GetString(), volume.GetProperty("lease").GetString(), volume.GetProperty("open").GetProperty("sizeBytes").GetInt64()));
        Assert.True(volume.GetProperty("now").GetProperty("writeP99").GetDouble() > 0);
        Assert.True(volume.GetProperty("writes").GetProperty("commands").GetInt64() > 0);
        var device = Uri.EscapeDataString(volume.GetProperty("device").GetString()!);
        var first = (await UntilAsync($"/api/history?device={device}", h => h.GetProperty("samples").GetArrayLength() > 1)).GetProperty("samples");
        var next = await UntilAsync($"/api/history?device={device}&after={first[0].GetProperty("sequence").GetInt64()}", _ => true);
        Assert.Equal(first[1].GetProperty("sequence").GetInt64(), next.GetProperty("samples")[0].GetProperty("sequence").GetInt64());
        Assert.Equal(0, (await UntilAsync("/api/history?device=none", _ => true)).GetProperty("samples").GetArrayLength());
    }

    [Fact]
    public async Task Events_AfterOneThatIsKnown_AreThoseThatFollow()
    {
        await StartAsync();
        var all = (await UntilAsync("/api/events", e => e.GetProperty("events").GetArrayLength() > 2)).GetProperty("events");

        var rest = (await UntilAsync($"/api/events?after={all[0].GetProperty("sequence").GetInt64()}", _ => true)).GetProperty("events");

        Assert.Equal(all[1].GetProperty("message").GetString(), rest[0].GetProperty("message").GetString());
    }

    [Fact]
    public async Task Page_AskedFor_IsWholeAndMayLoadNothingFromElsewhere()
    {
        await StartAsync();

        foreach (var (path, type) in ((string, string)[])[("/", "text/html"), ("/page.css", "text/css"), ("/page.js", "text/javascript"), ("/charts.js", "text/javascript"), ("/icon.svg", "image/svg+xml")])
        {
            using var answer = await _client.GetAsync(path);
            Assert.Equal((HttpStatusCode.OK, type), (answer.StatusCode, answer.Content.Headers.ContentType?.MediaType));
            Assert.StartsWith("default-src 'self';", answer.Headers.GetValues("Content-Security-Policy").Single(), StringComparison.Ordinal);
            Assert.Equal(("nosniff", "DENY"), (answer.Headers.GetValues("X-Content-Type-Options").Single(), answer.Headers.GetValues("X-Frame-Options").Single()));
            Assert.False(answer.Headers.Contains("Access-Control-Allow-Origin"));
            Assert.DoesNotContain("http", (await answer.Content.ReadAsStringAsync()).Replace("http://www.w3.org/2000/svg", "", StringComparison.Ordinal), StringComparison.OrdinalIgnoreCase);
        }

        using var again = new HttpRequestMessage(HttpMethod.Get, "/");
        again.Headers.IfNoneMatch.Add((await _client.GetAsync("/")).Headers.ETag!);
        Assert.Equal(HttpStatusCode.NotModified, (await _client.SendAsync(again)).StatusCode);
    }

    /// <summary>A name elsewhere that resolves to 127.0.0.1 would make a stranger's page one with ours.</summary>
    [Theory]
    [InlineData("evil.example", 421)]
    [InlineData("localhost:9464", 200)]
    [InlineData("127.0.0.1", 200)]
    [InlineData("[::1]:9464", 200)]
    public async Task Request_ForAHost_IsServedIfThatIsThisOne(string host, int status)
    {
        await StartAsync();

        Assert.StartsWith($"HTTP/1.1 {status} ", await AskAsync($"GET /api/status HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Request_ThatWritesOrIsTooLong_IsRefused()
    {
        await StartAsync();

        Assert.StartsWith("HTTP/1.1 405 ", await AskAsync("POST /livez HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"), StringComparison.Ordinal);
        Assert.StartsWith("HTTP/1.1 414 ", await AskAsync($"GET /{new string('a', 3000)} HTTP/1.1\r\nHost: localhost\r\n\r\n"), StringComparison.Ordinal);
        Assert.StartsWith("HTTP/1.1 431 ", await AskAsync($"GET / HTTP/1.1\r\nHost: localhost\r\nX: {new string('a', 20000)}\r\n\r\n"), StringComparison.Ordinal);
        Assert.StartsWith("HTTP/1.1 404 ", await AskAsync("GET /etc/passwd HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"), StringComparison.Ordinal);
    }

    /// <summary>Whoever opens connections and says nothing cannot take more than so many, and they are closed in the end.</summary>
    [Fact]
    public async Task Connections_MoreThanTheMost_AreClosed()
    {
        await StartAsync();
        var idle = new List<TcpClient>();
        try
        {
            for (var i = 0; i < Gateway.Http.HttpServer.ConnectionsMax + 8; i++)
            {
                var one = new TcpClient();
                await one.ConnectAsync(IPAddress.Loopback, _gateway.Port);
                idle.Add(one);
            }

            using var limit = new CancellationTokenSource(LiveGateway.Patience);
            Assert.Equal(0, await ReadAsync(idle[^1], limit.Token));
        }
        finally
        {
            foreach (var one in idle) one.Dispose();
        }

        Assert.NotEmpty(await UntilAsync("/api/status", _ => true) is var status ? status.GetProperty("version").GetString()! : "");
    }

    [Fact]
    public async Task Address_TakenByAnother_IsWarnedOfAndServedOnceItIsFree()
    {
        using var other = new TcpListener(IPAddress.Loopback, _gateway.Port);
        other.Start();
        await _gateway.CreateVolumeAsync("local/v");
        var ring = _gateway.AddDevice("local/v");
        await _gateway.StartAsync();

        var warning = await _gateway.LoggedAsync(801);
        Assert.Equal(Microsoft.Extensions.Logging.LogLevel.Warning, warning.Level);
        Assert.Contains("set telemetry.listen to another address", warning.Message, StringComparison.Ordinal);
        var initiator = _gateway.Use(ring);
        initiator.Load(100, 0);
        Assert.True(SpinWait.SpinUntil(() => initiator.Counts.Answered > 0, LiveGateway.Patience));

        other.Stop();
        await _gateway.LoggedAsync(800);
        await UntilReadyzAsync("ok");
    }

    private async Task<Tcmu.Simulation.RingSimulator> StartAsync()
    {
        await _gateway.CreateVolumeAsync("local/v");
        var ring = _gateway.AddDevice("local/v");
        await _gateway.StartAsync();
        await _gateway.LoggedAsync(800);
        return ring;
    }

    private Task<JsonElement> UntilReadyzAsync(string status, Func<JsonElement, bool>? condition = null) =>
        UntilAsync("/readyz", r => r.GetProperty("status").GetString() == status && (condition?.Invoke(r) ?? true));

    /// <summary>Asks again until the answer is as wanted; it is one of the gateway's own time, a second old at most.</summary>
    private async Task<JsonElement> UntilAsync(string path, Func<JsonElement, bool> condition)
    {
        using var limit = new CancellationTokenSource(LiveGateway.Patience);
        while (true)
        {
            using var answer = await _client.GetAsync(path, limit.Token);
            var text = await answer.Content.ReadAsStringAsync(limit.Token);
            var json = JsonDocument.Parse(text).RootElement;
            if (condition(json)) return json;
            try
            {
                await Task.Delay(TimeSpan.FromMilliseconds(100), TimeProvider.System, limit.Token);
            }
            catch (OperationCanceledException)
            {
                throw new TimeoutException($"{path} stayed {text}");
            }
        }
    }

    /// <summary>Sends bytes as they are; the answer up to where the server closes.</summary>
    private async Task<string> AskAsync(string request)
    {
        using var limit = new CancellationTokenSource(LiveGateway.Patience);
        using var connection = new TcpClient();
        await connection.ConnectAsync(IPAddress.Loopback, _gateway.Port, limit.Token);
        await connection.GetStream().WriteAsync(Encoding.ASCII.GetBytes(request), limit.Token);
        using var answer = new MemoryStream();
        try
        {
            await connection.GetStream().CopyToAsync(answer, limit.Token);
        }
        catch (IOException)
        {
            // A request that was not read to its end is followed by a reset; what was said before it counts.
        }

        return Encoding.ASCII.GetString(answer.ToArray());
    }

    private static async Task<int> ReadAsync(TcpClient connection, CancellationToken cancellationToken)
    {
        try
        {
            return await connection.GetStream().ReadAsync(new byte[1], cancellationToken);
        }
        catch (IOException)
        {
            return 0; // A reset closes it, too.
        }
    }
}
