using Gateway.Simulation.Disk;
using Gateway.Simulation.Scheduling;
using Gateway.Simulation.Store;
using Gateway.Volumes.Formats;
using Gateway.Volumes.Leases;

namespace Gateway.Simulation.Scenario;

/// <summary>
/// What a lease adds to the promises: nobody acknowledges anything once another gateway serves, and what an owner said in the bucket of its
/// journal is heeded by whoever takes over without it.
/// </summary>
internal sealed class LeaseJudge
{
    private readonly World _world;
    private readonly SeedPlan _plan;
    private readonly SimulatedBucket _bucket;
    private readonly VolumeKeys _keys;
    private readonly Guid _volumeId;

    private readonly Dictionary<SimulatedProcess, Serving> _servings = [];
    private readonly Dictionary<Guid, int> _flushedAtBeat = [];
    private readonly List<(long Step, HeartbeatRecord Beat)> _beats = [];
    private readonly Dictionary<SimulatedProcess, long> _lastLook = [];
    private readonly Dictionary<long, long> _lookBeforeRelease = [];
    private readonly Dictionary<long, SimulatedProcess> _takers = [];
    private long _newestServing;

    public LeaseJudge(World world, SeedPlan plan, SimulatedBucket bucket, VolumeKeys keys, Guid volumeId)
    {
        (_world, _plan, _bucket, _keys, _volumeId) = (world, plan, bucket, keys, volumeId);
        if (!plan.HasLease) return;
        bucket.Sending = Sending;
        bucket.Done = Done;
    }

    /// <summary>A gateway serves from now on.</summary>
    public void Serves(long epoch) => _newestServing = Math.Max(_newestServing, epoch);

    /// <summary>The model knows its history from now on.</summary>
    public void Accepted(Serving serving) => _servings[serving.Process] = serving;

    /// <summary>A command succeeded.</summary>
    public void Acknowledged(Serving serving, string command)
    {
        // Who is suspended between the look at the clock and the answer is not told from one who is not: docs/semantics.md says so.
        if (!_plan.HasLease || serving.Epoch >= _newestServing || serving.Process.HasJustResumed) return;
        _world.Fail($"{serving.Process.Name} (epoch {serving.Epoch}) acknowledged a {command} while epoch {_newestServing} served.");
    }

    /// <summary>How much of its parent's history a gateway must find that opened without its journal.</summary>
    public int FloorWithoutJournal(Serving parent, Serving serving)
    {
        var history = parent.History!;
        var isDoubtful = parent.Host == serving.Host && parent.Counts.JournalsLost == serving.Counts.JournalsLost; // It has the journal, and nobody knows what the journal has.
        if (!_plan.HasLease || isDoubtful) return history.BucketFloor;
        var taken = _takers.Keys.Any(e => e > parent.Epoch && e < serving.Epoch);
        if (taken) return history.BucketFloor; // Served by somebody of whom the model knows nothing, since it died before it was read.
        var releases = Enumerable.Range((int)parent.Epoch, (int)(serving.Epoch - parent.Epoch)).Select(e => ReleaseOf(e)).OfType<ReleaseRecord>().ToArray();
        if (releases.Any(r => r.Abandoned)) return history.BucketFloor;
        if (releases.Any(r => r.Epoch == parent.Epoch)) return history.FlushedFloor;
        var look = _lastLook.GetValueOrDefault(serving.Process);
        foreach (var release in releases) look = Math.Min(look, _lookBeforeRelease[release.Epoch]);
        var last = _beats.FindLast(b => b.Step <= look && b.Beat.Epoch == parent.Epoch).Beat;
        if (last is null)
        {
            _world.Fail($"{serving.Process.Name} (epoch {serving.Epoch}) took over from {parent.Process.Name} (epoch {parent.Epoch}), which had never said what its journal holds.");
            return 0;
        }

        // Whoever had the journal since, but ended before it served, knows what the bucket has got of it meanwhile, and that all of it is to be kept.
        var later = _beats.FindLast(b => b.Step <= look && b.Beat.Epoch > parent.Epoch && b.Beat.Epoch < serving.Epoch && b.Beat.JournalId == last.JournalId).Beat;
        if (later is not null && later.LastWriteFlushed <= later.LastWriteInBucket) return history.FlushedFloor;
        if ((later ?? last).LastWriteFlushed > (later ?? last).LastWriteInBucket)
            _world.Fail($"{serving.Process.Name} (epoch {serving.Epoch}) took over from {parent.Process.Name} (epoch {parent.Epoch}), whose heartbeat said that the bucket lacks flushed writes ({last.LastWriteFlushed}, {last.LastWriteInBucket}).");
        return Math.Max(history.BucketFloor, _flushedAtBeat.GetValueOrDefault(last.Beat));
    }

    /// <summary>The newest epoch, if it is released with all of it in the bucket: nobody who opens the volume now is refused, unless there is a newer one. Else null.</summary>
    public long? FreeEpoch() =>
        ReleaseOf(NewestEpoch()) is { } release && (release.Abandoned || release.LastWriteFlushed <= release.LastWriteInBucket) ? release.Epoch : null;

    /// <summary>The newest epoch that was claimed.</summary>
    public long NewestEpoch()
    {
        var newest = 0L;
        foreach (var (key, _) in _bucket.Blobs.Where(b => b.Key.StartsWith(_keys.EpochPrefix, StringComparison.Ordinal))) newest = Math.Max(newest, NumberOf(key, _keys.EpochPrefix));
        return newest;
    }

    /// <summary>A journal was put aside: somebody else must have served since.</summary>
    public void KeptAside(SimulatedHost host)
    {
        var last = _servings.Values.Where(s => s.Host == host).MaxBy(s => s.Epoch);
        if (!_plan.HasLease || last is null || host.Doubts > 0 || last.Counts.JournalsLost != host.JournalsLost - 1) return;
        if (!_takers.Any(t => t.Key > last.Epoch && !t.Value.Name.StartsWith(host.Name, StringComparison.Ordinal)))
            _world.Fail($"{host.Process!.Name} put aside the journal of epoch {last.Epoch}, though nobody has served since.");
    }

    private void Sending(SimulatedProcess process, string key, byte[] content)
    {
        if (key != _keys.HeartbeatKey.Value || !_servings.TryGetValue(process, out var serving)) return;
        _flushedAtBeat[LeaseCodec.DecodeHeartbeat(content, key, _volumeId).Beat] = serving.History!.FlushedFloor;
    }

    private void Done(SimulatedProcess process, string verb, string key)
    {
        if (key == _keys.HeartbeatKey.Value)
        {
            if (verb == "read") _lastLook[process] = _world.Steps;
            else if (verb == "put") _beats.Add((_world.Steps, LeaseCodec.DecodeHeartbeat(_bucket.Find(key), key, _volumeId)));
        }
        else if (verb == "put" && key.StartsWith(_keys.EpochPrefix, StringComparison.Ordinal))
        {
            _lastLook[process] = _world.Steps; // It must look again after its claim; if it does not, what was said until then counts.
        }
        else if (verb == "put" && key.StartsWith(_keys.TakeoverPrefix, StringComparison.Ordinal))
        {
            _takers[NumberOf(key, _keys.TakeoverPrefix)] = process;
        }
        else if (verb == "put" && key.StartsWith(_keys.ReleasePrefix, StringComparison.Ordinal))
        {
            _lookBeforeRelease.TryAdd(NumberOf(key, _keys.ReleasePrefix), _lastLook.GetValueOrDefault(process));
        }
    }

    private ReleaseRecord? ReleaseOf(long epoch) => epoch > 0 && _bucket.Find(_keys.Release(epoch).Value) is { } blob ? LeaseCodec.DecodeRelease(blob, "", _volumeId, epoch) : null;

    private static long NumberOf(string key, string prefix) => VolumeKeys.TryParseNumber(key.AsSpan(prefix.Length), out var number) ? number : 0;
}
