using System.Net;
using System.Net.Http.Headers;
using Gateway.Backends.Core;
using Gateway.Cli;
using Gateway.Configuration;
using Gateway.Control.V1;
using Gateway.Doctor;
using Gateway.Serving;
using Gateway.Tcmu;
using Gateway.Tests.Shared;
using Google.Protobuf.WellKnownTypes;
using Xunit;

namespace Gateway.Tests.Doctor;

/// <summary>What doctor makes of disks, clocks, stores and the daemon's word.</summary>
public sealed class LookChecksTests : IDisposable
{
    private static readonly DateTime Now = new(2026, 11, 28, 12, 0, 0, DateTimeKind.Utc);
    private readonly HostFolder _host = new();

    public void Dispose() => _host.Dispose();

    [Theory]
    [InlineData(0.3, 1, "Ok", "p50 300 µs, p99 1.0 ms")]
    [InlineData(8, 20, "Note", "without a protected cache")]
    [InlineData(30, 60, "Warning", "each flush of an initiator waits that long")]
    [InlineData(0.5, 900, "Warning", "one in a hundred flushes stalls")]
    [InlineData(0.002, 0.003, "Warning", "faster than any disk")]
    public async Task Disk_Flushes_AreJudgedByMedianAndWorst(double median, double worst, string severity, string says)
    {
        var found = Assert.Single(await DiskAsync(NewConfiguration(), (_, _) => Task.FromResult<IReadOnlyList<TimeSpan>>([.. Enumerable.Repeat(TimeSpan.FromMilliseconds(median), 49), TimeSpan.FromMilliseconds(worst)])), f => f.Check == "journal flush");

        Assert.Equal(severity, found.Severity.ToString());
        Assert.Contains(says, found.Measured, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Disk_Measured_LeavesNoFileBehind()
    {
        var took = await FlushProbe.RunAsync(_host.Root, TimeProvider.System, default);

        Assert.InRange(took.Count, 1, 50);
        Assert.Empty(Directory.EnumerateFileSystemEntries(_host.Root));
    }

    [Fact]
    public async Task Disk_DirectoryThatMayNotBeWritten_IsSaidNotToHaveBeenLookedAt()
    {
        var found = Assert.Single(await DiskAsync(NewConfiguration(), (_, _) => throw new UnauthorizedAccessException("Access is denied.")), f => f.Check == "journal flush");

        Assert.Equal((false, Severity.Note, "Run this as root."), (found.Looked, found.Severity, found.Remedy));
    }

    [Fact]
    public async Task Disk_JournalInMemory_IsAFault()
    {
        var configuration = NewConfiguration();
        configuration.Journal.Directory = "/dev/shm/tcmu-gateway/journal";

        var found = Assert.Single(await DiskAsync(configuration, FastDisk), f => f.Check == "journal file system");

        Assert.Equal(Severity.Fault, found.Severity);
        Assert.Contains("tmpfs, which is memory", found.Measured, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Disk_WithoutRoomForAJournal_IsAWarning()
    {
        var configuration = NewConfiguration();
        configuration.Journal.CapacityBytes = 1L << 60;

        Assert.Contains("are needed for what comes next", Assert.Single(await DiskAsync(configuration, FastDisk), f => f is { Check: "journal space", Severity: Severity.Warning }).Measured, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(0, "Ok", "the same, to a second or two")]
    [InlineData(-60, "Warning", "this host is 60 s ahead")]
    [InlineData(1800, "Fault", "this host is 1800 s behind: the store refuses signed requests")]
    public async Task Clock_AgainstTheStores_IsJudged(int storeAhead, string severity, string says)
    {
        var checks = new ClockChecks(S3(), new ClockState(true, TimeSpan.FromMilliseconds(3)), () => new HttpClient(new Dated(Now.AddSeconds(storeAhead))), new FixedTime());

        var found = Assert.Single(await checks.RunAsync(default), f => f.Check == "against cloud");

        Assert.Equal((severity, says), (found.Severity.ToString(), found.Measured));
    }

    [Fact]
    public async Task Clock_WithNothingThatKeepsItRight_IsWorseIfNoStoreToldTheTime()
    {
        var unkept = new ClockState(false, TimeSpan.FromSeconds(16));

        var told = await new ClockChecks(S3(), unkept, () => new HttpClient(new Dated(Now)), new FixedTime()).RunAsync(default);
        var silent = await new ClockChecks(S3(), unkept, () => new HttpClient(new Dated(null)), new FixedTime()).RunAsync(default);

        Assert.Equal(Severity.Note, told[^1].Severity);
        Assert.Equal(Severity.Warning, silent[^1].Severity);
        Assert.Contains(silent, f => f is { Check: "against cloud", Looked: false });
    }

    [Fact]
    public async Task Store_ThatAnswers_IsMeasured()
    {
        var found = Assert.Single(await new StoreChecks(NewConfiguration(), _ => new MemoryBlobStore(), TimeProvider.System).RunAsync(default));

        Assert.Equal((Severity.Ok, "local"), (found.Severity, found.Check));
        Assert.StartsWith("a look takes", found.Measured, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Store_ThatRefuses_IsAFaultThatNamesTheCredentials()
    {
        var found = Assert.Single(await new StoreChecks(NewConfiguration(), _ => new RefusingStore(), TimeProvider.System).RunAsync(default));

        Assert.Equal((Severity.Fault, "The secret access key is wrong."), (found.Severity, found.Measured));
        Assert.Contains("credentials", found.Remedy, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Daemon_ThatIsNotThere_IsAFaultOnlyIfDevicesWaitForIt()
    {
        Assert.Equal(Severity.Note, Assert.Single(await new DaemonChecks(null, "there is no socket", true, isNeeded: false, 70).RunAsync(default)).Severity);
        Assert.Equal(Severity.Fault, Assert.Single(await new DaemonChecks(null, "there is no socket", true, isNeeded: true, 70).RunAsync(default)).Severity);
        Assert.False(Assert.Single(await new DaemonChecks(null, "you may not", false, isNeeded: true, 70).RunAsync(default)).Looked);
    }

    [Fact]
    public async Task Daemon_ThatDoesWell_IsOk()
    {
        Assert.All(await DaemonAsync(NewStatus()), f => Assert.Equal(Severity.Ok, f.Severity));
    }

    [Fact]
    public async Task Daemon_OpenBreaker_IsAFault()
    {
        var status = NewStatus();
        (status.Stores[0].Breaker, status.Stores[0].AwayS, status.Stores[0].LastError) = ("open", 90, "Connection refused.");

        var found = Assert.Single(await DaemonAsync(status), f => f.Severity == Severity.Fault);

        Assert.Equal("its circuit breaker is open: the store has done nothing for 1 min 30 s; Connection refused.", found.Measured);
    }

    [Fact]
    public async Task Daemon_VolumesThatDoNotServe_AreNamedWithTheReason()
    {
        var status = NewStatus();
        (status.Devices[0].State, status.Devices[0].Reason) = (Control.V1.Device.Types.State.NotOpen, "the journal is damaged");
        status.Devices.Add(new Control.V1.Device { Name = "e", Volume = "local/d2", State = Control.V1.Device.Types.State.Standby, Reason = "gw2 serves it" });

        var found = await DaemonAsync(status);

        Assert.Contains(found, f => f is { Check: "local/d1 state", Severity: Severity.Fault, Measured: "not open: the journal is damaged" });
        Assert.Contains(found, f => f is { Check: "local/d2 state", Severity: Severity.Warning, Measured: "standby: gw2 serves it" });
    }

    [Theory]
    [InlineData(50, null)]
    [InlineData(75, "Warning")]
    [InlineData(98, "Fault")]
    public async Task Daemon_JournalThatFills_IsToldBeforeWritesWait(int percent, string? severity)
    {
        var status = NewStatus();
        status.Devices[0].Open = new VolumeStatus { JournalBytes = 1000, DirtyBytes = 10 * percent };

        Assert.Equal(severity, (await DaemonAsync(status)).FirstOrDefault(f => f.Check == "local/d1 journal")?.Severity.ToString());
    }

    [Fact]
    public async Task Daemon_CommandsThatNobodyAnswers_AreToldAndThoseThatMoveAreNot()
    {
        var (before, after) = (NewStatus(), NewStatus());
        (before.Devices[0].InFlight, after.Devices[0].InFlight) = (4, 4);
        after.At = Now.AddSeconds(1).ToTimestamp();
        Assert.Contains(await DaemonAsync(before, after), f => f is { Check: "local/d1 queue", Severity: Severity.Warning });

        after.Devices[0].Reads.Commands++;
        Assert.DoesNotContain(await DaemonAsync(before, after), f => f.Check == "local/d1 queue");
    }

    [Fact]
    public async Task Daemon_SlowFlushes_PointAtTheDisk()
    {
        var status = NewStatus();
        status.Devices[0].Flushes.Latencies[LatencyBuckets.Of(3_000_000_000)] = 5;

        Assert.Contains("journal's disk", Assert.Single(await DaemonAsync(status), f => f.Check == "local/d1 flushes").Remedy, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Daemon_RecentErrors_AreCountedAndOldOnesAreNot()
    {
        Event Logged(string level, int minutesAgo) => new() { Level = level, At = Now.AddMinutes(-minutesAgo).ToTimestamp(), Message = $"{level} {minutesAgo}" };
        var view = new DaemonView(NewStatus(), null, ["iscsi target x: no"], [Logged("error", 90), Logged("error", 10), Logged("warning", 5), Logged("information", 1)]);

        var found = await new DaemonChecks(view, null, true, false, 70).RunAsync(default);

        Assert.Equal("1 errors and 1 warnings within the last hour; the last: warning 5", Assert.Single(found, f => f.Check == "events").Measured);
        Assert.Equal((Severity.Fault, "iscsi target x: no"), found.Where(f => f.Check == "exports").Select(f => (f.Severity, f.Measured)).Single());
    }

    [Fact]
    public async Task Text_OfAReport_HasTheWorstFirstEachWithItsRemedy()
    {
        Finding[] findings = [new("kernel", "a", Severity.Ok, "fine", null), new("disk", "b", Severity.Warning, "slow", "Do this."), new("store", "c", Severity.Fault, "gone", "Do that.")];
        var text = new StringWriter();

        await DoctorText.WriteAsync(text, new DoctorReport("gw1", "0.1.0", "6.1.0", Now, Severity.Fault, findings));

        Assert.Equal(
            "FAULT    store: c: gone\n         -> Do that.\nwarning  disk: b: slow\n         -> Do this.\n\nok       kernel: a: fine\n\ngw1, Linux 6.1.0, tcmu-gateway 0.1.0: 1 fault, 1 warning, 1 ok.\n",
            text.ToString());
    }

    private static Task<IReadOnlyList<TimeSpan>> FastDisk(string directory, CancellationToken cancellationToken) => Task.FromResult<IReadOnlyList<TimeSpan>>([TimeSpan.FromMicroseconds(100)]);

    private static Task<IReadOnlyList<Finding>> DaemonAsync(Status before, Status? after = null) => new DaemonChecks(new DaemonView(before, after, [], []), null, true, false, 70).RunAsync(default);

    private static Status NewStatus()
    {
        var status = new Status { At = Now.ToTimestamp(), StartedAt = Now.AddHours(-1).ToTimestamp(), Version = ThisProgram.Version, ProcessId = 1 };
        Counts Counted() => new() { Commands = 100, Latencies = { new long[LatencyBuckets.Count] } };
        status.Devices.Add(new Control.V1.Device { Name = "d", Volume = "local/d1", State = Control.V1.Device.Types.State.Serving, Reads = Counted(), Writes = Counted(), Flushes = Counted(), Others = Counted() });
        status.Stores.Add(new StoreStatus { Name = "local", Type = "file", Breaker = "closed", Attempts = 10 });
        return status;
    }

    private Task<IReadOnlyList<Finding>> DiskAsync(GatewayConfiguration configuration, MeasureFlushes measure) => new DiskChecks(_host.Host, configuration, measure).RunAsync(default);

    private GatewayConfiguration NewConfiguration()
    {
        var configuration = new GatewayConfiguration { StateDirectory = Path.Combine(_host.Root, "state") };
        configuration.Journal.Directory = Path.Combine(_host.Root, "journal");
        configuration.Stores.Add("local", new StoreSection { Type = "file", Path = _host.Root });
        return configuration;
    }

    private static GatewayConfiguration S3()
    {
        var configuration = new GatewayConfiguration();
        configuration.Stores.Add("cloud", new StoreSection { Type = "s3", Bucket = "b", Endpoint = new Uri("http://s3.example.org:7480") });
        return configuration;
    }

    private sealed class RefusingStore : IBlobStore
    {
        private static BlobStoreException Refusal => new(BlobErrorKind.AccessDenied, "The secret access key is wrong.");

        public string Description => "refuses";

        public ValueTask<int> ReadAsync(BlobKey key, long offsetBytes, Memory<byte> destination, CancellationToken cancellationToken) => throw Refusal;

        public ValueTask PutAsync(BlobKey key, ReadOnlyMemory<byte> content, Precondition precondition, CancellationToken cancellationToken) => throw Refusal;

        public ValueTask<long?> GetLengthAsync(BlobKey key, CancellationToken cancellationToken) => throw Refusal;

        public IAsyncEnumerable<BlobInfo> ListAsync(string prefix, string? startAfter, CancellationToken cancellationToken) => throw Refusal;

        public IAsyncEnumerable<string> ListFoldersAsync(string prefix, CancellationToken cancellationToken) => throw Refusal;

        public ValueTask DeleteAsync(BlobKey key, CancellationToken cancellationToken) => throw Refusal;

        public ValueTask DisposeAsync() => ValueTask.CompletedTask;
    }

    private sealed class FixedTime : TimeProvider
    {
        public override DateTimeOffset GetUtcNow() => Now;
    }

    /// <summary>A store that refuses, and tells the time all the same; or does not.</summary>
    private sealed class Dated(DateTime? date) : HttpMessageHandler
    {
        protected override Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
        {
            var response = new HttpResponseMessage(HttpStatusCode.Forbidden);
            if (date is { } at) response.Headers.Date = new DateTimeOffset(at);
            return Task.FromResult(response);
        }
    }
}
