using Gateway.Control.V1;
using Gateway.Lio.Tests;
using Gateway.Targets;
using Gateway.Volumes;
using Grpc.Core;
using Xunit;

namespace Gateway.Tests;

/// <summary>Exports by the configuration file and by command, as the daemon keeps them.</summary>
public sealed class TargetsTests
{
    private const string Iqn = TargetsWorld.Iqn;
    private const string Group = SimulatedKernel.Root + "/iscsi/" + Iqn + "/tpgt_1";
    private const string Secret = "correct-horse-1";

    private static string Declared(string size = "64MiB") =>
        $$""" "volumes": { "each": { "local/db": { "size": "{{size}}", "blockSize": 4096 } } }, "targets": { "iscsi": { "{{Iqn}}": { "portals": ["127.0.0.1"], "luns": [{ "volume": "local/db" }] } } } """;

    [Fact]
    public async Task Declared_VolumeAndTarget_AreMadeOnceAndStay()
    {
        await using var world = new TargetsWorld(Declared());

        Assert.Empty(await world.ReconcileAsync());

        Assert.Equal(64L << 20, (await world.Catalog.IdentifyAsync("db", default)).SizeBytes);
        Assert.Equal("1", world.Kernel.Read(Group + "/enable").Trim());
        var changes = world.Kernel.Changes.Count;
        await world.RestartAsync();
        Assert.Empty(await world.ReconcileAsync());
        Assert.Equal(changes, world.Kernel.Changes.Count);
    }

    [Fact]
    public async Task Declared_Larger_GrowsInBucketAndKernel_Smaller_IsAFault()
    {
        await using var world = new TargetsWorld(Declared());
        await world.ReconcileAsync();

        world.Reconfigure(Declared("128MiB"));
        Assert.Empty(await world.ReconcileAsync());
        Assert.Equal(128L << 20, (await world.Catalog.IdentifyAsync("db", default)).SizeBytes);

        world.Reconfigure(Declared("32MiB"));
        Assert.Contains("volumes do not shrink", Assert.Single(await world.ReconcileAsync()), StringComparison.Ordinal);
        Assert.Equal(128L << 20, (await world.Catalog.IdentifyAsync("db", default)).SizeBytes);
        Assert.NotNull(world.Kernel.Find(Group + "/lun/lun_0"));
    }

    /// <summary>A wrong bucket, or a removed volume: nobody gets an empty disk in place of the lost one, and what there is stays.</summary>
    [Fact]
    public async Task Declared_VolumeThatWasThereIsGone_IsNotMadeAnew()
    {
        await using var world = new TargetsWorld(Declared());
        await world.ReconcileAsync();
        Directory.Delete(world.BucketPath, recursive: true);
        Directory.CreateDirectory(world.BucketPath);
        await world.RestartAsync();

        Assert.Contains("its store has it no more", string.Join('\n', await world.ReconcileAsync()), StringComparison.Ordinal);

        await Assert.ThrowsAsync<VolumeException>(() => world.Catalog.IdentifyAsync("db", default));
        Assert.NotNull(world.Kernel.Find(Group + "/lun/lun_0"));
    }

    [Fact]
    public async Task Emptied_WhileNobodyRan_NothingIsLeft()
    {
        await using var world = new TargetsWorld(Declared());
        var before = world.Kernel.Dump();
        await world.ReconcileAsync();
        world.Configure("");

        await world.RestartAsync();
        Assert.Empty(await world.ReconcileAsync());

        Assert.Equal(before, world.Kernel.Dump());
        Assert.Equal(64L << 20, (await world.Catalog.IdentifyAsync("db", default)).SizeBytes);
    }

    /// <summary>A daemon that was never told to export anything leaves alone what 'target apply' or somebody else made.</summary>
    [Fact]
    public async Task NothingDeclared_EverAtAll_LioIsNotTouched()
    {
        await using var world = new TargetsWorld();
        var lio = new Gateway.Lio.LioReconciler(world.Kernel, world.Kernel, new Gateway.Lio.LioOptions(), TimeProvider.System, Microsoft.Extensions.Logging.Abstractions.NullLogger.Instance);
        await lio.ReconcileAsync(new Gateway.Lio.DesiredState { Backstores = [new Gateway.Lio.Backstore { Name = "x", Config = "gateway/local/x", SizeBytes = 1 << 20, UnitSerial = Guid.NewGuid() }] }, default);
        lio.Dispose();
        var before = world.Kernel.Dump();

        Assert.Empty(await world.ReconcileAsync());

        Assert.Equal(before, world.Kernel.Dump());
    }

    [Fact]
    public async Task Export_ByCommand_StaysAfterARestart_AndGoesWithUnexport()
    {
        await using var world = new TargetsWorld();
        await world.Catalog.CreateAsync("v", new VolumeSpec(1 << 20, 512, VolumeCompression.None), default);
        var empty = world.Kernel.Dump();

        var made = await world.ExportAsync("local/v", r => r.Portals.Add("127.0.0.1:3262"));

        Assert.Equal(["127.0.0.1:3262"], made.Portals);
        Assert.False(made.Declared);
        var group = $"{SimulatedKernel.Root}/iscsi/{made.Name}/tpgt_1";
        Assert.NotNull(world.Kernel.Find(group + "/lun/lun_0"));
        var changes = world.Kernel.Changes.Count;
        await world.RestartAsync();
        Assert.Empty(await world.ReconcileAsync());
        Assert.Equal(changes, world.Kernel.Changes.Count);
        Assert.Equal(made, Assert.Single(world.Admin.List().Targets));

        var reply = await world.Admin.UnexportAsync(new UnexportRequest { Volume = "local/v" }, default);

        Assert.Equal([made.Name], reply.Targets);
        Assert.Equal(empty, world.Kernel.Dump());
        Assert.Equal(1 << 20, (await world.Catalog.IdentifyAsync("v", default)).SizeBytes);
    }

    /// <summary>What the kernel does not take is taken back: no half-made target waits for a better day.</summary>
    [Fact]
    public async Task Export_RefusedByLio_LeavesNothing()
    {
        await using var world = new TargetsWorld();
        await world.Catalog.CreateAsync("v", new VolumeSpec(1 << 20, 512, VolumeCompression.None), default);
        var empty = world.Kernel.Dump();
        world.Kernel.Refuses = change => change.Contains("/np/", StringComparison.Ordinal);

        var refused = await Assert.ThrowsAsync<TargetException>(() => world.ExportAsync("local/v"));

        Assert.Equal(StatusCode.Aborted, refused.Status);
        Assert.Empty(world.Admin.List().Targets);
        Assert.Equal(empty, world.Kernel.Dump());
        await world.RestartAsync();
        Assert.Empty(world.Admin.List().Targets);
    }

    [Fact]
    public async Task Commands_OnWhatTheFileDeclares_AreRefusedWithTheReason()
    {
        await using var world = new TargetsWorld(Declared());
        await world.ReconcileAsync();

        foreach (var refused in new[]
        {
            await Assert.ThrowsAsync<TargetException>(() => world.Admin.UnexportAsync(new UnexportRequest { Target = Iqn }, default)),
            await Assert.ThrowsAsync<TargetException>(() => world.Admin.UnexportAsync(new UnexportRequest { Volume = "local/db" }, default)),
            await Assert.ThrowsAsync<TargetException>(() => world.ExportAsync("local/db", r => r.Target = Iqn)),
            await Assert.ThrowsAsync<TargetException>(() => world.Admin.SetChapAsync(new SetChapRequest { Target = Iqn, User = "host", Secret = Secret }, default)),
        }) Assert.Contains("configuration file", refused.Message, StringComparison.Ordinal);
        Assert.NotNull(world.Kernel.Find(Group + "/lun/lun_0"));
    }

    [Fact]
    public async Task Chap_ByCommand_IsInAFileOfItsOwnForRootAlone_AndGoesAgain()
    {
        await using var world = new TargetsWorld();
        await world.Catalog.CreateAsync("v", new VolumeSpec(1 << 20, 512, VolumeCompression.None), default);
        await world.ExportAsync("local/v", r => r.Target = Iqn);
        var secrets = Path.Combine(world.StatePath, "secrets");

        await Assert.ThrowsAsync<TargetException>(() => world.Admin.SetChapAsync(new SetChapRequest { Target = Iqn, User = "host", Secret = "too-short" }, default));
        var target = await world.Admin.SetChapAsync(new SetChapRequest { Target = Iqn, User = "host", Secret = Secret }, default);

        Assert.Equal("host", target.ChapUser);
        var file = Assert.Single(Directory.GetFiles(secrets));
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(file));
        Assert.DoesNotContain(Secret, await File.ReadAllTextAsync(Path.Combine(world.StatePath, "exports.json")), StringComparison.Ordinal);
        Assert.Equal(Secret, world.Kernel.Read(Group + "/auth/password").Trim());
        Assert.Equal("1", world.Kernel.Read(Group + "/attrib/authentication").Trim());

        await world.Admin.SetChapAsync(new SetChapRequest { Target = Iqn }, default);

        Assert.Equal("0", world.Kernel.Read(Group + "/attrib/authentication").Trim());
        Assert.Empty(Directory.GetFiles(secrets));
    }

    [Fact]
    public async Task Acl_FirstInitiatorShutsOthersOut_TheLastIsNotTakenAway()
    {
        await using var world = new TargetsWorld();
        await world.Catalog.CreateAsync("v", new VolumeSpec(1 << 20, 512, VolumeCompression.None), default);
        await world.ExportAsync("local/v", r => r.Target = Iqn);
        Assert.Equal("1", world.Kernel.Read(Group + "/attrib/generate_node_acls").Trim());

        await world.Admin.SetInitiatorAsync(new SetInitiatorRequest { Target = Iqn, Initiator = "iqn.1994-05.com.redhat:a" }, default);

        Assert.Equal("0", world.Kernel.Read(Group + "/attrib/generate_node_acls").Trim());
        Assert.NotNull(world.Kernel.Find(Group + "/acls/iqn.1994-05.com.redhat:a/lun_0"));
        var refused = await Assert.ThrowsAsync<TargetException>(() => world.Admin.SetInitiatorAsync(new SetInitiatorRequest { Target = Iqn, Initiator = "iqn.1994-05.com.redhat:a", Remove = true }, default));
        Assert.Equal(StatusCode.FailedPrecondition, refused.Status);
        Assert.NotNull(world.Kernel.Find(Group + "/acls/iqn.1994-05.com.redhat:a/lun_0"));
    }

    [Fact]
    public async Task Export_SecondVolumeOfATarget_GetsTheNextLun_AndKeepsItWhenTheFirstGoes()
    {
        await using var world = new TargetsWorld();
        foreach (var name in new[] { "a", "b" }) await world.Catalog.CreateAsync(name, new VolumeSpec(1 << 20, 512, VolumeCompression.None), default);
        await world.ExportAsync("local/a", r => r.Target = Iqn);

        var both = await world.ExportAsync("local/b", r => r.Target = Iqn);
        await world.Admin.UnexportAsync(new UnexportRequest { Volume = "local/a" }, default);

        Assert.Equal([0, 1], both.Luns.Select(l => l.Lun_));
        Assert.Equal([1], Assert.Single(world.Admin.List().Targets).Luns.Select(l => l.Lun_));
        Assert.Null(world.Kernel.Find(Group + "/lun/lun_0"));
        Assert.NotNull(world.Kernel.Find(Group + "/lun/lun_1"));
    }

    /// <summary>A volume whose store does not answer keeps its export: initiators get sense data, not a vanished disk.</summary>
    [Fact]
    public async Task Store_Away_ExportsStayAndCanBeMadeFromWhatIsKnown()
    {
        await using var world = new TargetsWorld(Declared());
        await world.ReconcileAsync();
        var before = world.Kernel.Dump();
        Directory.Move(world.BucketPath, world.BucketPath + ".away");

        await world.RestartAsync();
        await world.ReconcileAsync();

        Assert.Equal(before, world.Kernel.Dump());
        Directory.Move(world.BucketPath + ".away", world.BucketPath);
        Assert.Empty(await world.ReconcileAsync());
    }
}
