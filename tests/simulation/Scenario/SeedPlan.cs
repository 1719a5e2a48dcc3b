using Gateway.Simulation.Disk;
using Gateway.Simulation.Store;
using Gateway.Volumes;

namespace Gateway.Simulation.Scenario;

/// <summary>What one seed is about: sizes, load, and which faults it knows. Each seed has some of them only, so that none hides behind another.</summary>
internal sealed record SeedPlan
{
    public required int BlockBytes { get; init; }

    /// <summary>Blocks of the volume in the end, if it grows by all that it may; what the model knows.</summary>
    public required int Blocks { get; init; }

    /// <summary>Blocks of the volume as it is created.</summary>
    public int InitialBlocks { get; init; }

    /// <summary>Times that it grows at most.</summary>
    public int ResizesMax { get; init; }

    public required int Hosts { get; init; }

    public required long JournalBytes { get; init; }

    public required VolumeOptions Options { get; init; }

    public required StorePlan Store { get; init; }

    public required DiskPlan Disk { get; init; }

    /// <summary>Things that happen to gateways in the seed: starts, ends, outages.</summary>
    public required int Events { get; init; }

    /// <summary>Commands that initiators send at a time.</summary>
    public required int Depth { get; init; }

    /// <summary>Commands per initiator and opening.</summary>
    public required int CommandsMax { get; init; }

    /// <summary>Longest pause of an initiator between two commands.</summary>
    public required TimeSpan ThinkMax { get; init; }

    /// <summary>Most writes go to this many blocks.</summary>
    public required int HotBlocks { get; init; }

    /// <summary>Weights of writes, zeroings, reads, flushes and drains.</summary>
    public required int[] Mix { get; init; }

    /// <summary>Longest usual command in blocks.</summary>
    public required int LengthMax { get; init; }

    public required bool PowerCuts { get; init; }

    /// <summary>Most power cuts come just after a flush was answered.</summary>
    public bool CutsAfterFlushes { get; init; }

    public required bool JournalLosses { get; init; }

    public required bool Suspensions { get; init; }

    public required bool Outages { get; init; }

    /// <summary>Bits of journals flip.</summary>
    public required bool JournalRot { get; init; }

    /// <summary>Nothing goes wrong but that gateways end and start: no command may fail.</summary>
    public required bool IsCalm { get; init; }

    /// <summary>Half the seeds declare a single gateway, and have several all the same: then only what the bucket promises holds.</summary>
    public bool HasLease => Options.LeaseLength > TimeSpan.Zero;

    /// <summary>By how much a host's clock may run too fast or too slow: half of what a lease's margins allow, the rest is for work that comes late.</summary>
    public double ClockErrorMax => HasLease ? 0.05 : 0;

    public static SeedPlan Draw(Random random)
    {
        var calm = random.Next(6) == 0;
        var blockBytes = random.Next(3) == 0 ? 512 : 4096;
        var blocks = blockBytes == 512 ? 2048 : 256 << random.Next(4);
        var storeFaults = !calm && random.Next(3) > 0;
        var diskFaults = !calm && random.Next(5) == 0;
        var segmentBytes = 8192 << random.Next(4);
        var commandTimeout = TimeSpan.FromSeconds(5 << random.Next(3));
        var plan = new SeedPlan
        {
            BlockBytes = blockBytes,
            Blocks = blocks,
            Hosts = random.Next(3) switch { 0 => 1, 1 => 2, _ => 3 },
            JournalBytes = 8192 + ((128L << 10) << random.Next(4)),
            Options = new VolumeOptions
            {
                LeaseLength = TimeSpan.Zero,
                SegmentBytes = segmentBytes,
                SealAfter = TimeSpan.FromMilliseconds(50 << random.Next(8)),
                UploadWindow = random.Next(1, 5),
                CacheBytes = random.Next(3) switch { 0 => 0, 1 => 64 << 10, _ => 1 << 20 },
                CacheFileBytes = random.Next(4) == 0 ? (1L << 20) + (random.Next(4) * (256 << 10)) : 0,
                ReadAheadBytes = random.Next(3) switch { 0 => 0, 1 => 64 << 10, _ => 1 << 20 },
                MapBytes = 1 << random.Next(8, 20),
                CheckpointSegments = 4 << random.Next(5),
                CheckpointSegmentsMin = 1 << random.Next(5),
                CheckpointIdle = TimeSpan.FromMilliseconds(100 << random.Next(8)),
                RemoveAfter = commandTimeout + TimeSpan.FromSeconds(1 + random.Next(20)),
                CleanAbove = random.Next(4) switch { 0 => 1, 1 => 0.05, _ => 0.2 },
                CleanBytesPerSecond = (64 << 10) << random.Next(10),
                Durability = random.Next(5) == 0 ? Durability.Bucket : Durability.Journal,
                HighWaterPercent = random.Next(4) switch { 0 => 100, _ => 30 + random.Next(60) },
                CommandTimeout = commandTimeout,
                RetryDelayMin = TimeSpan.FromMilliseconds(100),
                RetryDelayMax = TimeSpan.FromSeconds(5),
                CloseTimeout = TimeSpan.FromSeconds(random.Next(2) * 10),
            },
            Store = new StorePlan
            {
                LatencyMax = TimeSpan.FromMilliseconds(10 << random.Next(5)),
                SlowRate = storeFaults && random.Next(2) == 0 ? 0.03 : 0,
                ErrorBeforeRate = Rate(),
                ErrorAfterRate = Rate(),
                LateEffectRate = Rate() / 2,
                DoublePutRate = Rate(),
                Conflicts = storeFaults && random.Next(2) == 0,
                ReadCorruptionRate = !calm && random.Next(8) == 0 ? 0.01 : 0,
                StaleListMax = !calm && random.Next(2) == 0 ? TimeSpan.FromMilliseconds(random.Next(5000)) : TimeSpan.Zero,
                ListPageLength = random.Next(2) == 0 ? 1000 : random.Next(3, 20),
            },
            Disk = new DiskPlan
            {
                FlushMax = TimeSpan.FromMilliseconds(2 << random.Next(6)),
                SlowRate = !calm && random.Next(3) == 0 ? 0.02 : 0,
                WriteErrorRate = DiskRate(),
                ReadErrorRate = DiskRate(),
                FlushErrorRate = DiskRate(),
                CacheRotRate = !calm && random.Next(2) == 0 ? 0.05 : 0,
                NoSpaceRate = diskFaults ? 0.2 : 0,
                Lies = !calm && random.Next(12) == 0,
            },
            Events = random.Next(4, 16),
            Depth = 1 << random.Next(4),
            CommandsMax = random.Next(5, 80),
            ThinkMax = TimeSpan.FromMilliseconds(1 << random.Next(12)),
            HotBlocks = Math.Min(blocks, 16 << random.Next(6)),
            Mix = [random.Next(20, 80), random.Next(15), random.Next(5, 40), 1 << random.Next(6), 1 + random.Next(4)],
            LengthMax = 1 << random.Next(1, 6),
            PowerCuts = random.Next(3) > 0,
            JournalLosses = random.Next(4) == 0,
            Suspensions = !calm && random.Next(2) == 0,
            Outages = !calm && random.Next(3) == 0,
            JournalRot = !calm && random.Next(10) == 0,
            IsCalm = calm,
        };
        if (random.Next(4) == 0) plan = Restless(plan, random);
        else if (random.Next(6) == 0) plan = Flushing(plan, random);
        else if (random.Next(6) == 0) plan = Crowded(plan, random);
        plan = plan with { InitialBlocks = plan.Blocks };
        if (random.Next(2) == 0) return plan;
        return plan with
        {
            Hosts = Math.Max(2, plan.Hosts),
            Options = plan.Options with
            {
                LeaseLength = TimeSpan.FromSeconds(6 << random.Next(4)),
                Takeover = random.Next(5) == 0 ? TakeoverPolicy.Never : TakeoverPolicy.WhenSilent,
            },
        };

        double Rate() => storeFaults && random.Next(2) == 0 ? 0.002 * (1 << random.Next(6)) : 0;
        double DiskRate() => diskFaults && random.Next(2) == 0 ? 0.002 : 0;
    }

    /// <summary>Makes a third of the plans those of a volume that grows under its initiators, one to four times.</summary>
    public SeedPlan Growing(Random random)
    {
        const int BlocksMax = 6144; // The model compares all of them at each opening.
        if (random.Next(3) != 0 || Blocks > BlocksMax / 2) return this;
        return this with { Blocks = Math.Min(Blocks * random.Next(2, 5), BlocksMax), ResizesMax = 1 + random.Next(4) };
    }

    /// <summary>Flushes are slow and overlap with writes and with each other, and power cuts come just after they were answered.</summary>
    private static SeedPlan Flushing(SeedPlan plan, Random random) => plan with
    {
        Depth = 4 << random.Next(3),
        ThinkMax = TimeSpan.FromMilliseconds(20),
        CommandsMax = random.Next(5, 40),
        Mix = [40, 4, 4, 40, 1],
        PowerCuts = true,
        CutsAfterFlushes = true,
        Options = plan.Options with { Durability = Durability.Journal, SealAfter = TimeSpan.FromSeconds(10), SegmentBytes = 64 << 10 },
        Disk = plan.Disk with { FlushMax = TimeSpan.FromMilliseconds(50), Lies = false },
    };

    /// <summary>Journals are always full, so that space is written over as soon as it is given back; flushes are slow, and the power fails.</summary>
    private static SeedPlan Crowded(SeedPlan plan, Random random) => plan with
    {
        Depth = 8 << random.Next(2),
        ThinkMax = TimeSpan.FromMilliseconds(1),
        CommandsMax = random.Next(40, 120),
        JournalBytes = 8192 + (128 << 10),
        LengthMax = 16,
        Mix = [80, 2, 5, 5, 1],
        PowerCuts = true,
        Options = plan.Options with
        {
            Durability = Durability.Journal,
            SegmentBytes = 8192 << random.Next(2),
            HighWaterPercent = 100,
            CommandTimeout = TimeSpan.FromSeconds(40), // For all that wait in the queue.
            RemoveAfter = TimeSpan.FromSeconds(60),
        },
        Store = plan.Store with { LatencyMax = TimeSpan.FromMilliseconds(20) },
        Disk = plan.Disk with { FlushMax = TimeSpan.FromMilliseconds(100), Lies = false },
    };

    /// <summary>Checkpoints, cleaning and removal never rest, gateways take over in the middle of them, and most of the map stays as it is for long.</summary>
    private static SeedPlan Restless(SeedPlan plan, Random random) => plan with
    {
        BlockBytes = 4096,
        Blocks = 2048 << random.Next(2),
        HotBlocks = 64,
        Hosts = 2 + random.Next(2),
        CommandsMax = random.Next(5, 30),
        Options = plan.Options with
        {
            SealAfter = TimeSpan.FromMilliseconds(50 << random.Next(3)),
            MapBytes = 256,
            CheckpointSegments = 1 + random.Next(3),
            CheckpointSegmentsMin = 1,
            CheckpointIdle = TimeSpan.FromMilliseconds(20 << random.Next(5)),
            RemoveAfter = plan.Options.CommandTimeout + TimeSpan.FromSeconds(1),
        },
    };
}
