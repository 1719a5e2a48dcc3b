using Gateway.Backends.Core;
using Gateway.Scsi;
using Gateway.Simulation.Model;
using Gateway.Simulation.Scheduling;
using Gateway.Volumes;

namespace Gateway.Simulation.Scenario;

/// <summary>Decides whether an answer is one that may be: promises kept, errors only where a fault, another gateway or an ending gives the reason.</summary>
internal sealed class Judge(World world, SeedPlan plan, LeaseJudge leases)
{
    private readonly List<Serving> _servings = [];

    /// <summary>The store failed requests, or was slow, at some time.</summary>
    public bool StoreFailed { get; set; }

    public LeaseJudge Leases { get; } = leases;

    /// <summary>Every opening tried so far, by the host and by how many journals that host had lost, and every takeover by an operator: any of them may have claimed an epoch.</summary>
    public List<(Disk.SimulatedHost? Host, int JournalsLost, SimulatedProcess Process)> Attempts { get; } = [];

    /// <summary>What each owner has been told of the volume's size: whoever serves after it knows that.</summary>
    private readonly List<(Serving Serving, int Blocks)> _resized = [];

    /// <summary>A resize has ended well: initiators see the new size, and write there.</summary>
    public void Resized(Serving serving, int blocks)
    {
        world.Record("resized", blocks, (long)serving.Volume.Geometry.CapacityBlocks, null, serving.Process);
        if ((int)serving.Volume.Geometry.CapacityBlocks < blocks) world.Fail($"{serving.Process.Name} says that its volume has {blocks} blocks, but it has {serving.Volume.Geometry.CapacityBlocks}.");
        foreach (var later in _servings)
            if (later.Epoch > serving.Epoch && (int)later.Volume.Geometry.CapacityBlocks < blocks) world.Fail($"{serving.Process.Name} (epoch {serving.Epoch}) grew to {blocks} blocks although {later.Process.Name} (epoch {later.Epoch}) serves {later.Volume.Geometry.CapacityBlocks}.");
        _resized.Add((serving, blocks));
    }

    /// <summary>Whether a resize may end like this.</summary>
    public bool MayFailToResize(Serving serving, Exception e) => e switch
    {
        // A size that is smaller by now than the volume in the bucket: an earlier owner was quicker with its record than with its death.
        VolumeException { Kind: VolumeErrorKind.InvalidArgument } => true,
        VolumeException { Kind: VolumeErrorKind.Fenced } => OthersTried(serving),
        VolumeException { Kind: VolumeErrorKind.LocalDisk } => serving.IsEnding || DiskMayFail(serving.Host),
        VolumeException { Kind: VolumeErrorKind.Damaged or VolumeErrorKind.Foreign or VolumeErrorKind.Unsupported } or BlobStoreException { Kind: BlobErrorKind.Corrupt } => plan.Store.ReadCorruptionRate > 0,
        BlobStoreException b => b.IsTransient && (StoreFailed || Attempts.Count > 1),
        OperationCanceledException => serving.IsEnding,
        _ => false,
    };

    /// <summary>Who served just before an epoch, as far as its history is known.</summary>
    public Serving? ParentOf(long epoch) => _servings.Where(s => s.Epoch < epoch && s.History is not null).MaxBy(s => s.Epoch);

    /// <summary>A volume was opened and all of it read: what was found must follow from what came before.</summary>
    public bool Accept(Serving serving, int[] found, History initial)
    {
        foreach (var (earlier, blocks) in _resized)
            if (earlier.Epoch < serving.Epoch && (int)serving.Volume.Geometry.CapacityBlocks < blocks)
                world.Fail($"{serving.Process.Name} (epoch {serving.Epoch}) opened the volume with {serving.Volume.Geometry.CapacityBlocks} blocks, but {earlier.Process.Name} (epoch {earlier.Epoch}) had made it {blocks}.");
        var parent = serving.Parent;
        var before = parent?.History ?? initial;
        var floor = parent is null ? 0 : FloorOf(parent, serving);
        var place = before.FindPrefix(found, floor, out var reason);
        world.Record("opened", serving.Epoch, place, parent?.Process.Name, serving.Process);
        if (place < 0)
        {
            world.Fail($"{serving.Process.Name} (epoch {serving.Epoch}) goes on from {parent?.Process.Name ?? "nothing"} (epoch {parent?.Epoch}), but {reason}");
            return false;
        }

        var fromBucket = parent is null || !SharesJournal(parent, serving);
        serving.History = before.Fork(place, found, fromBucket);
        _servings.Add(serving);
        serving.Place = place;
        Leases.Accepted(serving);
        return true;
    }

    public void Written(Serving serving, Write write, bool fua)
    {
        serving.History!.Complete(write, world.Steps);
        if (fua) Flushed(serving, write.Position);
    }

    public void Flushed(Serving serving, int completed)
    {
        if (plan.Options.Durability == Durability.Bucket) Drained(serving, completed);
        else serving.History!.RaiseFlushed(completed);
    }

    public void Drained(Serving serving, int completed)
    {
        serving.History!.RaiseBucket(completed);
        foreach (var child in _servings)
            if (child.Parent == serving && child.Place < completed)
                world.Fail($"{serving.Process.Name} said that its first {completed} writes are in the bucket, but {child.Process.Name} had opened the volume with {child.Place} of them.");
    }

    public void DrainFailed(Serving serving, VolumeException e)
    {
        var allowed = e.Kind switch
        {
            VolumeErrorKind.Fenced => OthersTried(serving),
            VolumeErrorKind.LocalDisk => serving.IsEnding || DiskMayFail(serving.Host),
            _ => false,
        };
        if (!allowed) world.Fail($"Draining {serving.Process.Name} failed without a reason: {e.Message}");
    }

    public void CommandFailed(Serving serving, string name, BlockResult result, bool wasAborted)
    {
        var allowed = result.Error switch
        {
            BlockError.Aborted => wasAborted,
            BlockError.StoreUnavailable => wasAborted || serving.IsEnding || StoreFailed || serving.Process.SuspendedTotal > TimeSpan.Zero,
            BlockError.JournalFull => serving.IsEnding || StoreFailed || serving.Process.SuspendedTotal > TimeSpan.Zero || OthersTried(serving),
            BlockError.Standby => OthersTried(serving),
            BlockError.Offline => serving.IsEnding || DiskMayFail(serving.Host),
            // A fenced gateway finds segments gone that its successor has removed.
            BlockError.Corrupt => plan.Store.ReadCorruptionRate > 0 || _servings.Exists(s => s.Epoch > serving.Epoch),
            _ => false,
        };
        if (!allowed) world.Fail($"A {name} through {serving.Process.Name} failed without a reason: {result.Error}.");
    }

    /// <summary>Whether a takeover by an operator may end like this.</summary>
    public bool MayFailToTakeOver(SimulatedProcess process, bool force, Exception e) => e switch
    {
        VolumeException { Kind: VolumeErrorKind.OwnedElsewhere } => !force,
        VolumeException { Kind: VolumeErrorKind.Foreign or VolumeErrorKind.Unsupported } => plan.Store.ReadCorruptionRate > 0,
        VolumeException { Kind: VolumeErrorKind.Damaged } or BlobStoreException { Kind: BlobErrorKind.Corrupt } => plan.Store.ReadCorruptionRate > 0 || IsSlow(process),
        VolumeException { Kind: VolumeErrorKind.Fenced } => true,
        BlobStoreException { Kind: BlobErrorKind.NotFound } => IsSlow(process),
        BlobStoreException b => b.IsTransient && (StoreFailed || Attempts.Count > 1),
        _ => false,
    };

    /// <summary>Whether an opening may end like this.</summary>
    /// <param name="host">Where it was tried.</param>
    /// <param name="process">By which process.</param>
    /// <param name="freeBefore">What <see cref="LeaseJudge.FreeEpoch"/> was when it began.</param>
    /// <param name="e">What became of it.</param>
    public bool MayFailToOpen(Disk.SimulatedHost host, SimulatedProcess process, long? freeBefore, Exception e) => e switch
    {
        VolumeException { Kind: VolumeErrorKind.OwnedElsewhere } => plan.HasLease && freeBefore != Leases.NewestEpoch(),
        BlobStoreException { Kind: BlobErrorKind.Corrupt } => plan.Store.ReadCorruptionRate > 0,
        // Someone who reads the log for longer than the grace period finds things gone that its writer has removed.
        BlobStoreException { Kind: BlobErrorKind.NotFound } or VolumeException { Kind: VolumeErrorKind.Damaged } when IsSlow(process) => true,
        BlobStoreException b => b.IsTransient && (StoreFailed || Attempts.Count > 1),
        VolumeException { Kind: VolumeErrorKind.Fenced } => Attempts.Count > 1,
        VolumeException { Kind: VolumeErrorKind.JournalMismatch } => host.Doubts > 0 || Attempts.Exists(a => (a.Host is not null && a.Host != host) || a.JournalsLost != host.JournalsLost),
        VolumeException { Kind: VolumeErrorKind.LocalDisk } => DiskMayFail(host),
        VolumeException { Kind: VolumeErrorKind.Damaged or VolumeErrorKind.Foreign or VolumeErrorKind.Unsupported } => host.Doubts > 0 || plan.Store.ReadCorruptionRate > 0,
        _ => false,
    };

    private bool IsSlow(SimulatedProcess process) => Attempts.Count > 1 && (process.SuspendedTotal > TimeSpan.Zero || process.CutOffUntil > TimeSpan.Zero || plan.Store.SlowRate > 0);

    private static bool DiskMayFail(Disk.SimulatedHost host) => host.DiskFailed || host.Doubts > 0;

    /// <summary>Somebody else opened the volume, or tried to, after this one had; an attempt that began before may have claimed it since.</summary>
    private bool OthersTried(Serving serving) => Leases.NewestEpoch() > serving.Epoch || Attempts.FindLastIndex(a => a.Process != serving.Process) > Attempts.FindIndex(a => a.Process == serving.Process)
        || Attempts.Exists(a => a.Process != serving.Process && !a.Process.IsDead);

    /// <summary>How much of its parent's history a gateway must find.</summary>
    private int FloorOf(Serving parent, Serving serving)
    {
        var history = parent.History!;
        if (!SharesJournal(parent, serving)) return Leases.FloorWithoutJournal(parent, serving);
        return serving.Counts.PowerCuts == parent.Counts.PowerCuts ? history.CompletedFloor : history.FlushedFloor;
    }

    private static bool SharesJournal(Serving parent, Serving serving) =>
        parent.Host == serving.Host && parent.Counts.JournalsLost == serving.Counts.JournalsLost && parent.Counts.Doubts == serving.Counts.Doubts;
}
