using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using Gateway.Cli;
using Gateway.Configuration;
using Gateway.Control;
using Gateway.Control.V1;
using Gateway.Lio;
using Gateway.Serving;
using Gateway.Targets;
using Gateway.Tcmu;
using Grpc.Core;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Xunit;
using Status = Gateway.Control.V1.Status;

namespace Gateway.Tests;

/// <summary>The control API over real connections: what it says, who may use it, and what a failure tells a person.</summary>
public sealed partial class ControlApiTests : IAsyncLifetime
{
    private readonly string _directory = Directory.CreateTempSubdirectory("control").FullName;
    private readonly List<IAsyncDisposable> _running = [];

    private string SocketPath => Path.Combine(_directory, "run", "control.sock");

    private string ConfigurationFile => Path.Combine(_directory, "gateway.json");

    public Task InitializeAsync() => Task.CompletedTask;

    public async Task DisposeAsync()
    {
        foreach (var one in _running) await one.DisposeAsync();
        Directory.Delete(_directory, recursive: true);
    }

    [Fact]
    public async Task Socket_OfAStartedGateway_IsItsOwnersAloneAndTellsTheStatus()
    {
        await StartAsync();
        using var client = Connect();

        var status = await client.Calls.GetStatusAsync(new GetStatusRequest());

        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(SocketPath));
        Assert.Equal((Environment.ProcessId, ConfigurationFile), (status.ProcessId, status.ConfigurationFile));
        Assert.Equal([("local", "file", "unused")], status.Stores.Select(s => (s.Name, s.Type, s.Breaker)));
        var text = new StringWriter();
        await StatusText.WriteAsync(text, status);
        Assert.Contains("No volume is exported", text.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Socket_LeftBehindByAKilledGateway_IsReplaced()
    {
        Directory.CreateDirectory(Path.GetDirectoryName(SocketPath)!);
        using (var dead = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified))
        {
            dead.Bind(new UnixDomainSocketEndPoint(SocketPath + ".bound"));
            File.Move(SocketPath + ".bound", SocketPath); // Or it would be removed when it is closed here.
        }

        Assert.True(File.Exists(SocketPath));

        await StartAsync();

        using var client = Connect();
        Assert.NotNull(await client.Calls.GetStatusAsync(new GetStatusRequest()));
    }

    [Fact]
    public async Task Socket_ServedByAnotherProcess_IsLeftAloneAndThatIsLogged()
    {
        await StartAsync();
        using var first = Connect();

        var second = await StartAsync(expectListening: false);

        Assert.Contains("only one gateway can run on a host", Assert.Single(second, e => e.Id.Id == 501).Message, StringComparison.Ordinal);
        Assert.NotNull(await first.Calls.GetStatusAsync(new GetStatusRequest()));
    }

    [Fact]
    public async Task Socket_OfAGroup_IsForItsMembers()
    {
        await StartAsync("\"group\": \"0\"");

        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupRead | UnixFileMode.GroupWrite, File.GetUnixFileMode(SocketPath));
    }

    [Fact]
    public async Task Socket_OfAGroupThatIsNotThere_IsNotServedAndSaysSo() =>
        Assert.Contains("there is no group 'no-such-group'", Assert.Single(await StartAsync("\"group\": \"no-such-group\"", expectListening: false), e => e.Id.Id == 501).Message, StringComparison.Ordinal);

    [Fact]
    public async Task Volumes_MadeListedAndDescribed_AreThoseOfTheStore()
    {
        await StartAsync();
        using var client = Connect();

        var made = await client.Calls.CreateVolumeAsync(new CreateVolumeRequest { Volume = "local/d1", Size = 1 << 30, BlockSize = 4096, Compression = "zstd" });

        Assert.Equal(("local/d1", 1L << 30, 4096, "zstd"), (made.Volume_, made.Size, made.BlockSize, made.Compression));
        Assert.Equal([made.Id], (await client.Calls.ListVolumesAsync(new ListVolumesRequest())).Volumes.Select(v => v.Id));
        Assert.Equal(made.Id, (await client.Calls.DescribeVolumeAsync(new DescribeVolumeRequest { Volume = "local/d1" })).Id);
        Assert.Equal(StatusCode.AlreadyExists, (await FailsAsync(client.Calls.CreateVolumeAsync(new CreateVolumeRequest { Volume = "local/d1", Size = 1 << 30 }))).StatusCode);
        Assert.Equal(StatusCode.NotFound, (await FailsAsync(client.Calls.DescribeVolumeAsync(new DescribeVolumeRequest { Volume = "local/none" }))).StatusCode);
        Assert.Contains("There is no store 'other'", (await FailsAsync(client.Calls.DescribeVolumeAsync(new DescribeVolumeRequest { Volume = "other/d1" }))).Status.Detail, StringComparison.Ordinal);
        Assert.Contains("write lz4, zstd, none", (await FailsAsync(client.Calls.CreateVolumeAsync(new CreateVolumeRequest { Volume = "local/d2", Size = 1 << 30, Compression = "zip" }))).Status.Detail, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Store_Tested_HasFiguresForEveryKindOfRequest()
    {
        await StartAsync();
        using var client = Connect();

        var report = await client.Calls.TestStoreAsync(new TestStoreRequest { Store = "local" });

        Assert.True(report.Ok);
        Assert.Equal(["put 4 KiB", "get 4 KiB", "length", "list", "delete", "put 8 MiB", "get 8 MiB"], report.Measurements.Select(m => m.Operation));
        Assert.Empty(Directory.EnumerateFiles(Path.Combine(_directory, "store"), "*", SearchOption.AllDirectories));
    }

    [Fact]
    public async Task Events_Followed_AreThoseBeforeAndAfter()
    {
        var (loggers, _) = await StartWithLoggersAsync();
        var logger = loggers.CreateLogger("Gateway.Test");
        logger.Log(LogLevel.Warning, new EventId(7, "Before"), "something before", null, static (text, _) => text);
        using var client = Connect();
        using var call = client.Calls.WatchEvents(new WatchEventsRequest { Last = 1, Follow = true });

        Assert.True(await call.ResponseStream.MoveNext(CancellationToken.None));
        var before = call.ResponseStream.Current;
        logger.Log(LogLevel.Error, new EventId(8, "After"), "after", null, static (text, _) => text);
        Assert.True(await call.ResponseStream.MoveNext(CancellationToken.None));

        Assert.Equal(("warning", 7, "Before", "something before"), (before.Level, before.Id, before.Name, before.Message));
        Assert.Equal(("error", "after"), (call.ResponseStream.Current.Level, call.ResponseStream.Current.Message));
        Assert.True(call.ResponseStream.Current.Sequence > before.Sequence);
    }

    [Fact]
    public async Task Reload_OfAFileWithAFault_SaysWhichAndChangesNothing()
    {
        await StartAsync();
        using var client = Connect();
        await File.WriteAllTextAsync(ConfigurationFile, "{ \"stores\": {} , \"volumes\": { \"uploadWindow\": 0 } }");

        var failure = await FailsAsync(client.Calls.ReloadAsync(new ReloadRequest()));

        Assert.Equal(StatusCode.InvalidArgument, failure.StatusCode);
        Assert.Contains("at least one store is needed", failure.Status.Detail, StringComparison.Ordinal);
        Assert.Contains("volumes.uploadWindow", failure.Status.Detail, StringComparison.Ordinal);
        Assert.Equal(["local"], (await client.Calls.GetStatusAsync(new GetStatusRequest())).Stores.Select(s => s.Name));
    }

    [Fact]
    public async Task Stop_WhileSomebodyWatches_EndsItAtOnce()
    {
        await StartAsync();
        using var client = Connect();
        using var call = client.Calls.WatchStatus(new WatchStatusRequest { IntervalMs = 3_600_000 });
        Assert.True(await call.ResponseStream.MoveNext(CancellationToken.None));

        await _running[^1].DisposeAsync();
        _running.RemoveAt(_running.Count - 1);

        await Assert.ThrowsAsync<RpcException>(() => call.ResponseStream.MoveNext(CancellationToken.None));
    }

    [Fact]
    public async Task Command_WithoutAGateway_SaysHowToStartOne()
    {
        var (code, _, error) = await RunAsync("status", "--socket", Path.Combine(_directory, "none.sock"));

        Assert.Equal(1, code);
        Assert.Contains("Start it (systemctl start tcmu-gateway)", error, StringComparison.Ordinal);
        Assert.Single(error.TrimEnd().Split('\n'));
    }

    [Fact]
    public async Task Commands_AgainstAGateway_PrintTextAndJson()
    {
        await StartAsync();
        await File.WriteAllTextAsync(ConfigurationFile, Configuration());

        var (_, status, _) = await RunAsync("status", "--socket", SocketPath);
        var (_, json, _) = await RunAsync("status", "--socket", SocketPath, "--output", "json");
        var (_, top, _) = await RunAsync("top", "--socket", SocketPath, "--count", "1", "--interval", "0.1");
        var (_, reload, _) = await RunAsync("reload", "--config", ConfigurationFile); // The socket is that of the file.
        var (_, events, _) = await RunAsync("events", "--socket", SocketPath, "--last", "5");

        Assert.Contains("BREAKER", status, StringComparison.Ordinal);
        Assert.Equal(Environment.ProcessId, System.Text.Json.JsonDocument.Parse(json).RootElement.GetProperty("processId").GetInt32());
        Assert.Contains("W p99", top, StringComparison.Ordinal);
        Assert.Contains("it holds", reload, StringComparison.Ordinal);
        Assert.Contains("ConfigurationReloaded [114]", events, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Tls_WithAClientCertificate_IsServedAndWithoutOrWithAForeignOneItIsNot()
    {
        using var authority = MakeAuthority("authority");
        using var foreign = MakeAuthority("foreign");
        var port = FreePort();
        await System.IO.File.WriteAllTextAsync(File("ca.pem"), authority.ExportCertificatePem());
        Issue(authority, "server", "127.0.0.1");
        Issue(authority, "client", null);
        Issue(foreign, "stranger", null);
        await StartAsync($"\"listen\": \"127.0.0.1:{port}\", \"certificateFile\": \"{File("server.pem")}\", \"keyFile\": \"{File("server.key")}\", \"clientCaFile\": \"{File("ca.pem")}\"");
        string[] Connect(string who) => ["status", "--connect", $"127.0.0.1:{port}", "--tls-ca", File("ca.pem"), "--tls-certificate", File(who + ".pem"), "--tls-key", File(who + ".key")];

        Assert.Equal(0, (await RunAsync(Connect("client"))).Code);
        Assert.Equal(1, (await RunAsync(Connect("stranger"))).Code);
        Assert.Contains("--connect needs --tls-certificate", (await RunAsync("status", "--connect", $"127.0.0.1:{port}")).Error, StringComparison.Ordinal);
        await System.IO.File.WriteAllTextAsync(File("ca.pem"), foreign.ExportCertificatePem());
        Assert.Contains("TLS with 127.0.0.1", (await RunAsync(Connect("client"))).Error, StringComparison.Ordinal);
        Assert.Equal(1, (await RunAsync(Connect("server"))).Code); // A server's certificate opens no door.

        string File(string name) => Path.Combine(_directory, name);
    }

    [Fact]
    public void Picture_OfTwoStates_ShowsRatesAndPercentilesBetweenThem()
    {
        var (before, now) = (new Status { At = Stamp(0), StartedAt = Stamp(0) }, new Status { At = Stamp(2), StartedAt = Stamp(0) });
        before.Devices.Add(Device(1000, 5 << 20, 1_000_000));
        now.Devices.Add(Device(1000, 5 << 20, 1_000_000));
        now.Devices[0].Reads.Commands += 400;
        now.Devices[0].Reads.Bytes += 8_000_000;
        now.Devices[0].Reads.Latencies[LatencyBuckets.Of(40_000_000)] += 400;
        now.Devices[0].Open.BlocksAtOnce += 3;
        now.Devices[0].Open.BlocksFetched += 1;
        now.Stores.Add(new StoreStatus { Name = "local", Breaker = "open" });

        var text = new StringWriter();
        TopCommand.Plain(text).Write(TopCommand.Picture(before, now));

        var line = Assert.Single(text.ToString().Split('\n'), l => l.Contains("local/d1", StringComparison.Ordinal));
        Assert.Equal(["local/d1", "serving", "200", "0", "4.0", "0.0", "41.9", "ms", "41.9", "ms", "-", "-", "75", "%", "3", "MiB", "7", "open"], line.Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(c => c.Trim()).Where(c => c.Length > 0));

        static Device Device(long commands, long bytes, long nanoseconds)
        {
            var counts = new Counts { Commands = commands, Bytes = bytes, Latencies = { new long[LatencyBuckets.Count] } };
            counts.Latencies[LatencyBuckets.Of(nanoseconds)] = commands;
            return new Device
            {
                Name = "d",
                Volume = "local/d1",
                State = Control.V1.Device.Types.State.Serving,
                InFlight = 7,
                Reads = counts,
                Writes = new Counts(),
                Open = new VolumeStatus { DirtyBytes = 3 << 20, BlocksAtOnce = 10, BlocksFetched = 10 },
            };
        }

        static Google.Protobuf.WellKnownTypes.Timestamp Stamp(int seconds) => new() { Seconds = 1_700_000_000 + seconds };
    }

    private static async Task<RpcException> FailsAsync<T>(AsyncUnaryCall<T> call) => await Assert.ThrowsAsync<RpcException>(async () => await call);

    private static async Task<(int Code, string Output, string Error)> RunAsync(params string[] arguments)
    {
        var (output, error) = (new StringWriter(), new StringWriter());
        var code = await CommandLine.Build().Parse(arguments).InvokeAsync(new System.CommandLine.InvocationConfiguration { Output = output, Error = error });
        return (code, output.ToString(), error.ToString());
    }

    private static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }

    private static X509Certificate2 MakeAuthority(string name)
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest($"CN={name}", key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(true, false, 0, true));
        return request.CreateSelfSigned(DateTimeOffset.UnixEpoch, DateTimeOffset.UnixEpoch.AddYears(100));
    }

    private void Issue(X509Certificate2 authority, string name, string? address)
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest($"CN={name}", key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509EnhancedKeyUsageExtension([new Oid(address is null ? "1.3.6.1.5.5.7.3.2" : "1.3.6.1.5.5.7.3.1")], false));
        if (address is not null)
        {
            var names = new SubjectAlternativeNameBuilder();
            names.AddIpAddress(IPAddress.Parse(address));
            request.CertificateExtensions.Add(names.Build());
        }

        using var certificate = request.Create(authority, DateTimeOffset.UnixEpoch, DateTimeOffset.UnixEpoch.AddYears(99), Encoding.ASCII.GetBytes(name));
        System.IO.File.WriteAllText(Path.Combine(_directory, name + ".pem"), certificate.ExportCertificatePem());
        System.IO.File.WriteAllText(Path.Combine(_directory, name + ".key"), key.ExportPkcs8PrivateKeyPem());
    }

    private ControlClient Connect() => new(new ControlAddress(SocketPath));

    private string Configuration(string control = "") =>
        $$"""{ "stores": { "local": { "type": "file", "path": "{{Path.Combine(_directory, "store")}}" } }, "stateDirectory": "{{Path.Combine(_directory, "state")}}", "control": { "socket": "{{SocketPath}}"{{(control.Length > 0 ? ", " + control : "")}} } }""";

    private async Task<IReadOnlyList<LoggedEvent>> StartAsync(string control = "", bool expectListening = true) => (await StartWithLoggersAsync(control, expectListening)).Events;

    /// <summary>Starts what serve starts, but for the kernel's part; the events up to where it listens, or does not.</summary>
    private async Task<(ILoggerFactory Loggers, IReadOnlyList<LoggedEvent> Events)> StartWithLoggersAsync(string control = "", bool expectListening = true)
    {
        Directory.CreateDirectory(Path.Combine(_directory, "store"));
        await System.IO.File.WriteAllTextAsync(ConfigurationFile, Configuration(control));
        var configuration = GatewayConfiguration.Load(ConfigurationFile);
        var events = new EventLog(TimeProvider.System);
        var loggers = LoggerFactory.Create(b => b.AddProvider(events));
        var stores = new StoreSet(configuration, TimeProvider.System, loggers);
        var arguments = new ServeArguments(null, ConfigurationFile);
        var roots = new KernelRoots { Configfs = Path.Combine(_directory, "configfs"), Sysfs = Path.Combine(_directory, "sysfs") };
        var gateway = new GatewayService(configuration, stores, roots, arguments, TimeProvider.System, new NoLifetime(), loggers);
        var book = new ExportBook(configuration.StateDirectory);
        var lio = new LioReconciler(new KernelConfigfs(), new Modprobe(), new LioOptions { ConfigfsRoot = roots.Configfs, SysfsRoot = roots.Sysfs }, TimeProvider.System, loggers.CreateLogger("Gateway.Lio"));
        var keeper = new TargetKeeper(gateway, stores, book, lio, TimeProvider.System, loggers);
        var targets = new TargetAdmin(gateway, keeper, book, stores, roots);
        var service = new ControlService(gateway, targets, stores, events, arguments, TimeProvider.System, loggers);
        var server = new ControlServer(configuration, Task.CompletedTask, service, loggers);
        var seen = new List<LoggedEvent>();
        await server.StartAsync(CancellationToken.None);
        _running.Add(new Running(server, stores, loggers, service, gateway, targets, keeper, lio));
        await foreach (var one in events.WatchAsync(EventLog.KeptMax, true, CancellationToken.None))
        {
            seen.Add(one);
            if (one.Id.Id is 500 or 501) break;
        }

        Assert.Equal(expectListening ? 500 : 501, seen[^1].Id.Id);

        return (loggers, seen);
    }

    private sealed class Running(ControlServer server, StoreSet stores, ILoggerFactory loggers, ControlService service, GatewayService gateway, TargetAdmin targets, TargetKeeper keeper, LioReconciler lio) : IAsyncDisposable
    {
        public async ValueTask DisposeAsync()
        {
            await server.StopAsync(CancellationToken.None);
            server.Dispose();
            gateway.Dispose();
            service.Dispose();
            targets.Dispose();
            keeper.Dispose();
            lio.Dispose();
            await stores.DisposeAsync();
            loggers.Dispose();
        }
    }

    private sealed class NoLifetime : IHostApplicationLifetime
    {
        public CancellationToken ApplicationStarted => CancellationToken.None;

        public CancellationToken ApplicationStopping => CancellationToken.None;

        public CancellationToken ApplicationStopped => CancellationToken.None;

        public void StopApplication()
        {
        }
    }
}
