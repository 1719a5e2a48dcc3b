using Xunit;

namespace Gateway.Lio.Tests;

public sealed class DesiredStateCheckTests
{
    private static readonly LunMapping ReadOnlyLun = new() { Number = 0, Backstore = "a", ReadOnly = true };
    private static readonly IscsiTarget Plain = LioWorld.Target(LioWorld.Iqn, "a");

    public static TheoryData<string, string> Faults => new()
    {
        { "wildcard", "wildcard" }, { "wildcard6", "[::]" }, { "short secret", "CHAP secret" }, { "same secret", "reflect" }, { "null user", "CHAP user" }, { "half mutual", "both" },
        { "mixed chap", "one switch" }, { "mixed read-only", "two targets" }, { "unknown backstore", "not declared" }, { "twice", "twice" }, { "burst", "firstBurstLength" }, { "upper case", "lower case" },
        { "no portal", "no portal" }, { "scope", "no IPv4 or IPv6" }, { "lun", "not from 0" },
    };

    [Theory]
    [MemberData(nameof(Faults))]
    public async Task Reconcile_FaultyTarget_IsToldOnceAndLeftAsItIs(string fault, string message)
    {
        using var world = new LioWorld();
        var good = new DesiredState { Backstores = [LioWorld.Disk("a")], IscsiTargets = [Plain] };
        await world.ApplyAsync(good);
        var before = world.Kernel.Dump();

        var result = await world.ReconcileAsync(good with { IscsiTargets = Faulty(fault) });

        Assert.Contains(message, Assert.Single(result.Failures).Message, StringComparison.Ordinal);
        if (fault != "upper case") Assert.True(world.Kernel.Exists($"{SimulatedKernel.Root}/iscsi/{LioWorld.Iqn}/tpgt_1/lun/lun_0/backstore"));
        if (Faulty(fault).Length == 1 && fault != "upper case") Assert.Equal(before, world.Kernel.Dump());
    }

    [Theory]
    [InlineData("a/b", "gateway/s/v", 1 << 20, "name")]
    [InlineData("a", "gateway/s,v", 1 << 20, "configuration string")]
    [InlineData("a", "other/s/v", 1 << 20, "configuration string")]
    [InlineData("a", "gateway/s/v", 1000, "multiple")]
    public async Task Reconcile_FaultyBackstore_IsTold(string name, string config, long size, string message)
    {
        using var world = new LioWorld();

        var result = await world.ReconcileAsync(new DesiredState { Backstores = [LioWorld.Disk(name, size, config)] });

        Assert.Contains(message, Assert.Single(result.Failures).Message, StringComparison.Ordinal);
        Assert.Empty(result.Steps);
    }

    [Fact]
    public async Task Reconcile_ReadOnlyLoopbackLun_IsRefused()
    {
        using var world = new LioWorld();
        var target = new NexusTarget { Wwn = NexusTarget.NameOf("t"), Nexus = NexusTarget.NameOf("i"), Luns = [ReadOnlyLun] };

        var result = await world.ReconcileAsync(new DesiredState { Backstores = [LioWorld.Disk("a")], LoopbackTargets = [target] });

        Assert.Contains("read-only", Assert.Single(result.Failures).Message, StringComparison.Ordinal);
    }

    private static IscsiTarget[] Faulty(string fault)
    {
        var acl = new InitiatorAcl { Initiator = LioWorld.Initiator, Chap = LioWorld.Chap() };
        IscsiTarget With(ChapCredentials chap) => Plain with { Initiators = [acl with { Chap = chap }] };
        IscsiTarget On(string address) => LioWorld.Target(LioWorld.Iqn + "2", "a") with { Portals = [new IscsiPortal { Address = address }] };
        return fault switch
        {
            "wildcard" => [Plain, On("0.0.0.0")],
            "wildcard6" => [Plain, On("::")],
            "scope" => [Plain with { Portals = [new IscsiPortal { Address = "fe80::1%1" }] }],
            "no portal" => [Plain with { Portals = [] }],
            "lun" => [Plain with { Luns = [new LunMapping { Number = 256, Backstore = "a" }] }],
            "short secret" => [With(LioWorld.Chap() with { Secret = new ChapSecret("short") })],
            "same secret" => [With(LioWorld.Chap() with { MutualSecret = new ChapSecret(LioWorld.Secret) })],
            "null user" => [With(LioWorld.Chap() with { User = "NULLify" })],
            "half mutual" => [With(LioWorld.Chap() with { MutualSecret = null })],
            "mixed chap" => [Plain with { Initiators = [acl, new InitiatorAcl { Initiator = LioWorld.Initiator + "2" }] }],
            "mixed read-only" => [Plain with { Luns = [ReadOnlyLun, new LunMapping { Number = 1, Backstore = "a" }] }],
            "unknown backstore" => [Plain with { Luns = [new LunMapping { Number = 0, Backstore = "z" }] }],
            "twice" => [Plain, Plain],
            "burst" => [Plain with { Session = new SessionParameters { FirstBurstLength = 2_000_000 } }],
            _ => [Plain with { Iqn = "iqn.2025-01.org.Example:One" }],
        };
    }
}
