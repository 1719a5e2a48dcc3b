using Xunit;

namespace Gateway.Lio.Tests;

public sealed class LioReconcilerTests
{
    private const string Root = SimulatedKernel.Root;
    private const string Group = $"{Root}/iscsi/{LioWorld.Iqn}/tpgt_1";

    [Fact]
    public async Task Reconcile_Everything_IsMadeAsDeclaredAndOnce()
    {
        using var world = new LioWorld();

        await world.ApplyAsync(LioWorld.Everything());

        var kernel = world.Kernel;
        Assert.Equal("1\n", kernel.Read($"{Group}/enable"));
        Assert.Equal(["127.0.0.1:3260"], kernel.ListDirectories($"{Group}/np"));
        Assert.Equal("0\n", kernel.Read($"{Group}/attrib/generate_node_acls"));
        Assert.Equal("1\n", kernel.Read($"{Group}/attrib/authentication"));
        Assert.Equal("CHAP\n", kernel.Read($"{Group}/param/AuthMethod"));
        Assert.Equal($"{LioWorld.Secret}\n", kernel.Read($"{Group}/acls/{LioWorld.Initiator}/auth/password"));
        Assert.Equal($"{LioWorld.MutualSecret}\n", kernel.Read($"{Group}/acls/{LioWorld.Initiator}/auth/password_mutual"));
        Assert.Equal(["127.0.0.1:3260", "[::1]:3261"], kernel.ListDirectories($"{Root}/iscsi/{LioWorld.Iqn}2/tpgt_1/np"));
        Assert.Equal("1\n", kernel.Read($"{Root}/iscsi/{LioWorld.Iqn}3/tpgt_1/attrib/demo_mode_write_protect"));
        Assert.Equal("1\n", kernel.Read($"{Root}/iscsi/discovery_auth/enforce_discovery_auth"));
        Assert.Equal($"{NexusTarget.NameOf("i")}\n", kernel.Read($"{Root}/loopback/{NexusTarget.NameOf("t")}/tpgt_1/nexus"));
        var device = kernel.ReadLink($"{Group}/lun/lun_0/backstore")!;
        Assert.Equal("gateway/local/a\n", kernel.Read($"{device}/attrib/dev_config"));
        Assert.Equal("1024\n", kernel.Read($"{device}/attrib/hw_max_sectors"));
        Assert.Equal("1\n", kernel.Read($"{device}/attrib/tmr_notification"));
        Assert.Contains(LioWorld.SerialOf("gateway/local/a").ToString(), kernel.Read($"{device}/wwn/vpd_unit_serial"), StringComparison.Ordinal);
        Assert.Empty((await world.ReconcileAsync(LioWorld.Everything())).Steps);
    }

    [Fact]
    public async Task Reconcile_NothingDeclared_LeavesNothing()
    {
        using var world = new LioWorld();
        var before = world.Kernel.Dump();
        await world.ApplyAsync(LioWorld.Everything());

        world.Restart();
        await world.ApplyAsync(new DesiredState());

        Assert.Equal(before, world.Kernel.Dump());
    }

    [Fact]
    public async Task Plan_Everything_ShowsStepsWithoutSecretsAndChangesNothing()
    {
        using var world = new LioWorld();
        var before = world.Kernel.Dump();

        var text = (await world.Reconciler.PlanAsync(LioWorld.Everything(), CancellationToken.None)).ToString();

        Assert.Equal(before, world.Kernel.Dump());
        Assert.Contains($"mkdir {Group}", text, StringComparison.Ordinal);
        Assert.Contains($"printf %s '(secret)' > {Group}/acls/{LioWorld.Initiator}/auth/password", text, StringComparison.Ordinal);
        Assert.DoesNotContain(LioWorld.Secret, text, StringComparison.Ordinal);
        Assert.DoesNotContain(LioWorld.MutualSecret, text, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Reconcile_WithSecrets_NoneIsInALogResultOrRecord()
    {
        using var world = new LioWorld();
        var desired = LioWorld.Everything();

        var result = await world.ReconcileAsync(desired);

        var shown = string.Join('\n', [.. world.Log.Lines, .. result.Steps.Select(s => s.ToString()), desired.IscsiTargets[0].Initiators[0].ToString(), desired.DiscoveryAuth!.ToString()]);
        Assert.DoesNotContain(LioWorld.Secret, shown, StringComparison.Ordinal);
        Assert.DoesNotContain(LioWorld.MutualSecret, shown, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Reconcile_TargetOfSomebodyElse_IsRefusedAndTheRestGoesOn()
    {
        using var world = new LioWorld();
        world.AddForeignTarget(LioWorld.Iqn);
        var foreign = world.Kernel.Find($"{Root}/iscsi/{LioWorld.Iqn}")!.Tree().Count();

        var result = await world.ReconcileAsync(LioWorld.Everything());

        var failure = Assert.Single(result.Failures);
        Assert.Equal($"iscsi target {LioWorld.Iqn}", failure.Item);
        Assert.Contains("not ours", failure.Message, StringComparison.Ordinal);
        Assert.Equal(foreign, world.Kernel.Find($"{Root}/iscsi/{LioWorld.Iqn}")!.Tree().Count());
        Assert.Equal("1\n", world.Kernel.Read($"{Root}/iscsi/{LioWorld.Iqn}2/tpgt_1/enable"));
    }

    [Fact]
    public async Task Reconcile_ForeignTargetHandedOverByItsMark_IsMadeAsDeclared()
    {
        using var world = new LioWorld();
        world.AddForeignTarget(LioWorld.Iqn);
        world.Kernel.MakeDirectory($"{Root}/core/alua/lu_gps/tcmu-gateway~iscsi~{LioWorld.Iqn}");

        await world.ApplyAsync(LioWorld.Everything());

        Assert.Equal([LioWorld.Initiator], world.Kernel.ListDirectories($"{Group}/acls"));
        Assert.True(world.Kernel.Exists($"{Root}/core/fileio_0/disk"));
    }

    [Fact]
    public async Task Reconcile_DeviceOfADeclaredVolumeMadeBySomebodyElse_IsTakenOver()
    {
        using var world = new LioWorld();
        world.Kernel.Loaded.Add("target_core_user");
        var path = $"{Root}/core/user_3/theirs";
        world.Kernel.MakeDirectory($"{Root}/core/user_3");
        world.Kernel.MakeDirectory(path);
        world.Kernel.Write($"{path}/control", "dev_size=1073741824,hw_block_size=4096,dev_config=gateway/local/a");
        world.Kernel.Write($"{path}/enable", "1");

        var result = await world.ReconcileAsync(new DesiredState { Backstores = [LioWorld.Disk("a")], IscsiTargets = [LioWorld.Target(LioWorld.Iqn, "a")] });

        Assert.True(result.Succeeded);
        Assert.Contains("hw_max_sectors", result.Warnings[0].Message, StringComparison.Ordinal);
        Assert.Equal(path, world.Kernel.ReadLink($"{Group}/lun/lun_0/backstore"));
        await world.ApplyAsync(new DesiredState());
        Assert.False(world.Kernel.Exists(path));
        Assert.True(world.Kernel.Exists($"{Root}/core/user_3")); // Not made here, so left.
    }

    [Fact]
    public async Task Reconcile_VolumeThatTheDaemonRefuses_IsOneFailureAndTheRestGoesOn()
    {
        using var world = new LioWorld();
        world.Kernel.DaemonOpens = config => config != "gateway/local/a";

        var result = await world.ReconcileAsync(LioWorld.Everything());

        var failure = Assert.Single(result.Failures);
        Assert.Equal("backstore a", failure.Item);
        Assert.Contains("serve", failure.Message, StringComparison.Ordinal);
        Assert.Equal(["lun_1"], world.Kernel.ListDirectories($"{Group}/lun"));
        Assert.Equal("1\n", world.Kernel.Read($"{Group}/enable"));
        world.Kernel.DaemonOpens = _ => true;
        await world.ApplyAsync(LioWorld.Everything());
        Assert.Equal(["lun_0", "lun_1"], world.Kernel.ListDirectories($"{Group}/acls/{LioWorld.Initiator}").Where(d => d.StartsWith("lun_", StringComparison.Ordinal)));
    }

    [Fact]
    public async Task Reconcile_DaemonThatDoesNotAnswer_HoldsUpOneBackstoreOnly()
    {
        using var world = new LioWorld();
        world.Options.PartTimeout = TimeSpan.FromMilliseconds(50);
        world.Kernel.DaemonAnswers.Reset();
        var desired = new DesiredState { Backstores = [LioWorld.Disk("a")], IscsiTargets = [LioWorld.Target(LioWorld.Iqn, "a")] };

        var first = await world.ReconcileAsync(desired);
        var second = await world.ReconcileAsync(desired);

        Assert.Contains("reset_netlink", Assert.Single(first.Failures).Message, StringComparison.Ordinal);
        Assert.Contains("reset_netlink", Assert.Single(second.Failures).Message, StringComparison.Ordinal);
        Assert.Equal("1\n", world.Kernel.Read($"{Group}/enable"));
        Assert.Empty(second.Steps);
    }

    [Fact]
    public async Task Reconcile_KernelWithoutVhost_FailsThatTargetWithTheRemedy()
    {
        using var world = new LioWorld();
        world.Kernel.Available.Remove("vhost_scsi");

        var result = await world.ReconcileAsync(LioWorld.Everything());

        Assert.Contains("vhost_scsi", Assert.Single(result.Failures).Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Reconcile_VolumeGrown_DeviceGrowsAndDoesNotShrink()
    {
        using var world = new LioWorld();
        await world.ApplyAsync(new DesiredState { Backstores = [LioWorld.Disk("a", 1 << 20)] });

        await world.ApplyAsync(new DesiredState { Backstores = [LioWorld.Disk("a", 2 << 20)] });
        var shrunk = await world.ReconcileAsync(new DesiredState { Backstores = [LioWorld.Disk("a", 1 << 20)] });

        Assert.Contains("does not shrink", Assert.Single(shrunk.Failures).Message, StringComparison.Ordinal);
        Assert.Equal("2097152\n", world.Kernel.Read($"{Root}/core/user_770000/a/attrib/dev_size"));
    }

    [Fact]
    public async Task Reconcile_VolumeMadeAnewUnderItsName_NewSerialWhileNotExported()
    {
        using var world = new LioWorld();
        var desired = new DesiredState { Backstores = [LioWorld.Disk("a")], IscsiTargets = [LioWorld.Target(LioWorld.Iqn, "a")] };
        await world.ApplyAsync(desired);
        var serial = Guid.Parse("00000000-0000-4000-8000-000000000001");

        await world.ApplyAsync(desired with { Backstores = [LioWorld.Disk("a") with { UnitSerial = serial }] });

        var device = world.Kernel.ReadLink($"{Group}/lun/lun_0/backstore")!;
        Assert.Contains(serial.ToString(), world.Kernel.Read($"{device}/wwn/vpd_unit_serial"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Reconcile_FromEverybodyToAList_ForgetsInitiatorsThatWereLetIn()
    {
        using var world = new LioWorld();
        var open = new DesiredState { Backstores = [LioWorld.Disk("a")], IscsiTargets = [LioWorld.Target(LioWorld.Iqn, "a")] };
        await world.ApplyAsync(open);
        world.Kernel.Changes.Clear();

        await world.ApplyAsync(open with { IscsiTargets = [open.IscsiTargets[0] with { Initiators = [new InitiatorAcl { Initiator = LioWorld.Initiator }] }] });

        Assert.Contains($"rmdir {Group}", world.Kernel.Changes);
        Assert.Equal("0\n", world.Kernel.Read($"{Group}/attrib/generate_node_acls"));
    }

    [Fact]
    public async Task Reconcile_LunInUseByAForeignTarget_KeepsTheBackstoreAndSaysSo()
    {
        using var world = new LioWorld();
        world.AddForeignTarget();
        await world.ApplyAsync(new DesiredState { Backstores = [LioWorld.Disk("a")] });
        world.Kernel.MakeDirectory($"{Root}/iscsi/iqn.2001-01.org.foreign:x/tpgt_1/lun/lun_7");
        world.Kernel.Link($"{Root}/core/user_770000/a", $"{Root}/iscsi/iqn.2001-01.org.foreign:x/tpgt_1/lun/lun_7/x");

        var result = await world.ReconcileAsync(new DesiredState());

        Assert.Contains("LUN of another target", Assert.Single(result.Failures).Message, StringComparison.Ordinal);
        world.Kernel.Unlink($"{Root}/iscsi/iqn.2001-01.org.foreign:x/tpgt_1/lun/lun_7/x");
        await world.ApplyAsync(new DesiredState());
        Assert.False(world.Kernel.Exists($"{Root}/core/user_770000"));
    }

    [Fact]
    public async Task Reconcile_ForeignDiscoveryCredentials_AreLeft()
    {
        using var world = new LioWorld();
        world.AddForeignTarget();
        world.Kernel.Write($"{Root}/iscsi/discovery_auth/userid", "theirs");
        world.Kernel.Write($"{Root}/iscsi/discovery_auth/enforce_discovery_auth", "1");

        var result = await world.ReconcileAsync(LioWorld.Everything());
        await world.ApplyAsync(new DesiredState());

        Assert.Contains("somebody else", Assert.Single(result.Failures).Message, StringComparison.Ordinal);
        Assert.Equal("theirs\n", world.Kernel.Read($"{Root}/iscsi/discovery_auth/userid"));
    }

    [Fact]
    public async Task Reconcile_SomebodySetsAValueBackAllTheTime_EndsWithAFailure()
    {
        using var world = new LioWorld();
        await world.ApplyAsync(LioWorld.Everything());
        var attribute = world.Kernel.Find($"{Group}/attrib")!;
        attribute.Files["demo_mode_discovery"] = new KernelAttribute(() => "1\n", _ => { });

        var result = await world.ReconcileAsync(LioWorld.Everything());

        Assert.Contains("does not stay", Assert.Single(result.Failures).Message, StringComparison.Ordinal);
    }
}
