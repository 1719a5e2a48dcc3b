using Xunit;

namespace Gateway.Lio.Tests;

/// <summary>Random declarations one after the other, with crashes at any step, changes by hand, and objects of others: the end is always what was declared.</summary>
public sealed class LioPropertyTests
{
    private const string Root = SimulatedKernel.Root;

    public static TheoryData<int> Seeds
    {
        get
        {
            var seeds = new TheoryData<int>();
            for (var seed = 1; seed <= 60; seed++) seeds.Add(seed);
            return seeds;
        }
    }

    [Theory]
    [MemberData(nameof(Seeds))]
    public async Task Reconcile_AnyHistory_EndsInExactlyWhatIsDeclared(int seed)
    {
        var random = new Random(seed);
        using var world = new LioWorld();
        var foreign = random.Next(3);
        if (foreign == 1) world.AddForeignTarget();
        var empty = world.Kernel.Dump();

        for (var round = 0; round < 6; round++)
        {
            var desired = RandomStates.Next(random);
            var crashes = random.Next(4);
            for (var crash = 0; crash < crashes; crash++)
            {
                await CrashAsync(world, desired, random);
                for (var change = random.Next(4); change > 0; change--) HandMadeDamage.Do(world.Kernel, random);
                if (random.Next(3) == 0) desired = RandomStates.Next(random);
            }

            if (foreign == 2 && round == 4)
            {
                world.AddForeignTarget();
                using var others = new LioWorld();
                others.AddForeignTarget();
                empty = others.Kernel.Dump();
            }

            world.Restart();
            await world.ApplyAsync(desired);

            Assert.Equal(await DumpOfFreshAsync(desired, foreign == 1 || (foreign == 2 && round >= 4)), world.Kernel.Dump());
            Assert.Empty((await world.ReconcileAsync(desired)).Steps);
        }

        await world.ApplyAsync(new DesiredState());
        Assert.Equal(empty, world.Kernel.Dump());
    }

    /// <summary>Every single step of making everything, and of removing it, is one to die at.</summary>
    [Fact]
    public async Task Reconcile_CrashAtEachStep_IsRepairedAndLeavesNothing()
    {
        using var fresh = new LioWorld();
        var empty = fresh.Kernel.Dump();
        await fresh.ApplyAsync(LioWorld.Everything());
        var steps = fresh.Kernel.Changes.Count;
        var expected = fresh.Kernel.Dump();

        for (var step = 0; step < steps; step++)
        {
            using var world = new LioWorld();
            await CrashAsync(world, LioWorld.Everything(), step);
            await world.ApplyAsync(LioWorld.Everything());
            Assert.Equal(expected, world.Kernel.Dump());
            await CrashAsync(world, new DesiredState(), step);
            await world.ApplyAsync(new DesiredState());
            Assert.Equal(empty, world.Kernel.Dump());
        }
    }

    private static Task CrashAsync(LioWorld world, DesiredState desired, Random random) => CrashAsync(world, desired, random.Next(120));

    private static async Task CrashAsync(LioWorld world, DesiredState desired, int step)
    {
        world.Kernel.CrashAfter = step;
        try
        {
            await world.ReconcileAsync(desired);
        }
        catch (SimulatedCrashException)
        {
            // What it was for.
        }

        world.Kernel.CrashAfter = -1;
        world.Restart();
    }

    private static async Task<string> DumpOfFreshAsync(DesiredState desired, bool foreign)
    {
        using var world = new LioWorld();
        if (foreign) world.AddForeignTarget();
        await world.ApplyAsync(desired);
        return world.Kernel.Dump();
    }
}

/// <summary>Declarations from a small world, so that they meet again and again.</summary>
internal static class RandomStates
{
    private static readonly string[] Addresses = ["127.0.0.1", "10.0.0.1", "::1", "fd00::2"];

    public static DesiredState Next(Random random)
    {
        var disks = new[] { "a", "b", "c" }.Where(_ => random.Next(4) > 0).ToList();
        var luns = () => Luns(random, disks);
        return new DesiredState
        {
            Backstores = [.. disks.Select(name => LioWorld.Disk(name, config: $"gateway/s/{name}-{random.Next(5) / 4}"))],
            IscsiTargets = [.. Enumerable.Range(1, 3).Where(_ => random.Next(3) > 0).Select(n => Target(random, $"{LioWorld.Iqn}{n}", luns()))],
            LoopbackTargets = [.. Enumerable.Range(1, 2).Where(_ => random.Next(2) > 0).Select(n => Nexus(random, $"l{n}", luns()))],
            VhostTargets = [.. Enumerable.Range(1, 1).Where(_ => random.Next(2) > 0).Select(n => Nexus(random, $"v{n}", luns()))],
            DiscoveryAuth = random.Next(3) == 0 ? Chap(random) : null,
        };
    }

    private static List<LunMapping> Luns(Random random, List<string> disks) =>
        [.. Enumerable.Range(0, 3).Where(_ => disks.Count > 0 && random.Next(2) > 0).Select(n => new LunMapping { Number = n, Backstore = disks[random.Next(disks.Count)] })];

    private static NexusTarget Nexus(Random random, string name, List<LunMapping> luns) =>
        new() { Wwn = NexusTarget.NameOf(name), Nexus = NexusTarget.NameOf($"{name}-{random.Next(2)}"), Luns = luns };

    private static IscsiTarget Target(Random random, string iqn, List<LunMapping> luns)
    {
        var chap = random.Next(2) == 0;
        var initiators = Enumerable.Range(0, random.Next(3)).Select(n => new InitiatorAcl { Initiator = $"{LioWorld.Initiator}{n}", Chap = chap ? Chap(random) : null }).ToList();
        var allReadOnly = random.Next(2) == 0;
        return new IscsiTarget
        {
            Iqn = iqn,
            Portals = [.. Addresses.Where(_ => random.Next(2) > 0).Append("10.0.0.9").Select(address => new IscsiPortal { Address = address })],
            Luns = [.. luns.Select(lun => lun with { ReadOnly = initiators.Count == 0 ? allReadOnly : random.Next(2) == 0 })],
            Initiators = initiators,
            Chap = initiators.Count == 0 && chap ? Chap(random) : null,
            Session = new SessionParameters { MaxBurstLength = random.Next(2) == 0 ? 262_144 : 1_048_576, CommandDepth = random.Next(2) == 0 ? 64 : 128 },
        };
    }

    private static ChapCredentials Chap(Random random) => LioWorld.Chap(mutual: random.Next(2) == 0) with { User = $"user{random.Next(2)}" };
}

/// <summary>What somebody at a shell, or another program, does to objects of ours; marks apart.</summary>
internal static class HandMadeDamage
{
    private const string Root = SimulatedKernel.Root;

    public static void Do(SimulatedKernel kernel, Random random)
    {
        try
        {
            var objects = kernel.Target.Tree().Where(o => !o.Path.Contains("foreign", StringComparison.Ordinal) && !o.Path.Contains("fileio", StringComparison.Ordinal) && !o.Path.Contains("lu_gps", StringComparison.Ordinal)).ToList();
            Damage(kernel, objects[random.Next(objects.Count)], random);
        }
        catch (Exception e) when (e is IOException or InvalidOperationException)
        {
            // The kernel does not let one do everything.
        }
    }

    private static void Damage(SimulatedKernel kernel, KernelObject item, Random random)
    {
        switch (item.Role)
        {
            case KernelRole.Lun or KernelRole.MappedLun when item.Links.Count > 0:
                var (link, target) = item.Links.First();
                kernel.Unlink($"{item.Path}/{link}");
                if (random.Next(2) == 0) kernel.Link(target.Path, $"{item.Path}/by-hand");
                break;
            case KernelRole.Lun or KernelRole.MappedLun or KernelRole.Portal or KernelRole.Acl or KernelRole.Hba or KernelRole.Device or KernelRole.Target or KernelRole.Fabric:
                kernel.RemoveDirectory(item.Path);
                break;
            case KernelRole.Group when item.Files.ContainsKey("enable"):
                kernel.Write($"{item.Path}/enable", item.Live ? "0" : "1");
                break;
            case KernelRole.Group:
                kernel.Write($"{item.Path}/nexus", "NULL");
                break;
            case KernelRole.Portals:
                kernel.MakeDirectory($"{item.Path}/10.9.9.9:3260");
                break;
            case KernelRole.Acls:
                kernel.MakeDirectory($"{item.Path}/iqn.1999-01.org.intruder:x");
                break;
            case KernelRole.Luns:
                kernel.MakeDirectory($"{item.Path}/lun_{random.Next(9)}");
                break;
            case KernelRole.Plain when item.Parent?.Role is KernelRole.Group or KernelRole.Acl && item.Values.Count > 0:
                var file = item.Values.Keys.ElementAt(random.Next(item.Values.Count));
                if (file == "AuthMethod") kernel.Write($"{item.Path}/{file}", random.Next(2) == 0 ? "None" : "CHAP,None");
                else kernel.Write($"{item.Path}/{file}", item.Name == "auth" ? "by-hand" : item.Values[file] is "0" or "1" ? (random.Next(2) == 0 ? "0" : "1") : item.Values[file] is "Yes" or "No" ? "Yes" : "512");
                break;
            case KernelRole.Plain when item.Name == "discovery_auth" && kernel.Exists($"{Root}/core/alua/lu_gps/tcmu-gateway~iscsi~discovery_auth"):
                kernel.Write($"{item.Path}/{(random.Next(2) == 0 ? "password" : "userid")}", "by-hand");
                break;
            default:
                break;
        }
    }
}
