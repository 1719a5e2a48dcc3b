using Microsoft.Extensions.Logging;

namespace Gateway.Lio.Tests;

/// <summary>A simulated kernel with a reconciler, and declarations for tests.</summary>
internal sealed class LioWorld : IDisposable
{
    public const string Iqn = "iqn.2025-01.org.example:one";
    public const string Initiator = "iqn.2025-01.org.example:host";
    public const string Secret = "correct-horse-1";
    public const string MutualSecret = "battery-staple-2";

    private LioReconciler? _reconciler;

    public SimulatedKernel Kernel { get; } = new();

    public LinesLogger Log { get; } = new();

    public LioOptions Options { get; } = new();

    public LioReconciler Reconciler => _reconciler ??= new LioReconciler(Kernel, Kernel, Options, TimeProvider.System, Log);

    public static Backstore Disk(string name, long size = 1L << 30, string? config = null) =>
        new() { Name = name, Config = config ?? $"gateway/local/{name}", SizeBytes = size, UnitSerial = SerialOf(config ?? $"gateway/local/{name}") };

    public static Guid SerialOf(string seed) => new(System.Security.Cryptography.SHA256.HashData(System.Text.Encoding.UTF8.GetBytes(seed)).AsSpan(0, 16));

    public static ChapCredentials Chap(bool mutual = true) =>
        new() { User = "host", Secret = new ChapSecret(Secret), MutualUser = mutual ? "gateway" : null, MutualSecret = mutual ? new ChapSecret(MutualSecret) : null };

    public static IscsiTarget Target(string iqn = Iqn, params string[] disks) => new()
    {
        Iqn = iqn,
        Portals = [new IscsiPortal { Address = "127.0.0.1" }],
        Luns = [.. disks.Select((disk, i) => new LunMapping { Number = i, Backstore = disk })],
    };

    /// <summary>One of everything.</summary>
    public static DesiredState Everything() => new()
    {
        Backstores = [Disk("a"), Disk("b"), Disk("c")],
        IscsiTargets =
        [
            Target(Iqn, "a", "b") with { Initiators = [new InitiatorAcl { Initiator = Initiator, Chap = Chap() }] },
            Target(Iqn + "2", "b") with { Portals = [new IscsiPortal { Address = "127.0.0.1" }, new IscsiPortal { Address = "::1", Port = 3261 }] },
            Target(Iqn + "3") with { Luns = [new LunMapping { Number = 5, Backstore = "c", ReadOnly = true }] },
        ],
        LoopbackTargets = [new NexusTarget { Wwn = NexusTarget.NameOf("t"), Nexus = NexusTarget.NameOf("i"), Luns = [new LunMapping { Number = 0, Backstore = "c" }] }],
        VhostTargets = [new NexusTarget { Wwn = NexusTarget.NameOf("vt"), Nexus = NexusTarget.NameOf("vi"), Luns = [new LunMapping { Number = 0, Backstore = "c" }] }],
        DiscoveryAuth = Chap(mutual: false) with { User = "discovery" },
    };

    /// <summary>A new process takes over.</summary>
    public void Restart()
    {
        _reconciler?.Dispose();
        _reconciler = null;
    }

    public Task<ReconcileResult> ReconcileAsync(DesiredState desired) => Reconciler.ReconcileAsync(desired, CancellationToken.None);

    /// <summary>Reconciles what must succeed.</summary>
    public async Task ApplyAsync(DesiredState desired)
    {
        var result = await ReconcileAsync(desired);
        Xunit.Assert.True(result.Succeeded, string.Join('\n', result.Failures));
    }

    /// <summary>Something that somebody else has made in LIO, on a fileio backstore.</summary>
    public void AddForeignTarget(string iqn = "iqn.2001-01.org.foreign:x")
    {
        var core = $"{SimulatedKernel.Root}/core/fileio_0";
        if (!Kernel.Exists(core))
        {
            Kernel.MakeDirectory(core);
            Kernel.MakeDirectory($"{core}/disk");
            Kernel.Write($"{core}/disk/enable", "1");
        }

        if (!Kernel.Exists($"{SimulatedKernel.Root}/iscsi")) Kernel.MakeDirectory($"{SimulatedKernel.Root}/iscsi");
        var target = $"{SimulatedKernel.Root}/iscsi/{iqn}";
        foreach (var path in new[] { "", "/tpgt_1", "/tpgt_1/lun/lun_0", "/tpgt_1/np/127.0.0.1:3999", "/tpgt_1/acls/iqn.2001-01.org.foreign:i", "/tpgt_1/acls/iqn.2001-01.org.foreign:i/lun_0" }) Kernel.MakeDirectory(target + path);
        Kernel.Link($"{core}/disk", $"{target}/tpgt_1/lun/lun_0/x");
        Kernel.Link($"{target}/tpgt_1/lun/lun_0", $"{target}/tpgt_1/acls/iqn.2001-01.org.foreign:i/lun_0/x");
        Kernel.Write($"{target}/tpgt_1/enable", "1");
    }

    public void Dispose()
    {
        Kernel.DaemonAnswers.Set();
        _reconciler?.Dispose();
        Kernel.DaemonAnswers.Dispose();
    }
}

/// <summary>Keeps what is logged.</summary>
internal sealed class LinesLogger : ILogger
{
    public System.Collections.Concurrent.ConcurrentQueue<string> Lines { get; } = new();

    public IDisposable? BeginScope<TState>(TState state)
        where TState : notnull => null;

    public bool IsEnabled(LogLevel logLevel) => true;

    public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) => Lines.Enqueue(formatter(state, exception));
}
