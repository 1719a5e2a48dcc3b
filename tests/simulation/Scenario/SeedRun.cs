using Gateway.Backends.Core;
using Gateway.Simulation.Disk;
using Gateway.Simulation.Model;
using Gateway.Simulation.Scheduling;
using Gateway.Simulation.Store;
using Gateway.Volumes;
using Gateway.Volumes.Checking;
using Gateway.Volumes.Formats;
using Gateway.Volumes.Leases;

namespace Gateway.Simulation.Scenario;

/// <summary>One seed: hosts, a bucket, initiators, and everything that happens to them, from an empty volume to the last check.</summary>
internal sealed class SeedRun
{
    private const string VolumeName = "vol";

    /// <summary>Attempts at opening before an operator turns to something else, and when nothing goes wrong any more.</summary>
    private const int AttemptsMax = 4;
    private const int HealedAttemptsMax = 40;

    /// <summary>Events after which a crash is worth more than at another time.</summary>
    private static readonly string[] Moments = ["answer", "flushed", "issue", "disk write", "disk flush", "disk flushed", "put", "put done", "length done", "read done"];

    private readonly World _world;
    private readonly SeedPlan _plan;
    private readonly Random _random;
    private readonly Random _nonces;
    private readonly Random _leaseRandom;
    private readonly Random _resizeRandom;
    private readonly Guid _volumeId;
    private readonly SimulatedBucket _bucket;
    private readonly SimulatedHost[] _hosts;
    private readonly Judge _judge;
    private readonly Initiators _initiators;
    private readonly History _initial;
    private readonly List<Serving> _live = [];
    private readonly List<Task> _tasks = [];
    private int _operators;
    private int _resizes;

    private SeedRun(int seed, bool isTracing)
    {
        // Each concern draws from a sequence of its own, so that a change in one does not shift the others.
        var random = new Random(seed);
        _resizeRandom = new Random(seed ^ 0x517E);
        _plan = SeedPlan.Draw(new Random(random.Next())).Growing(_resizeRandom);
        _world = new World(random.Next(), isTracing);
        _random = new Random(random.Next());
        _nonces = new Random(random.Next());
        _bucket = new SimulatedBucket(_world, _plan.Store, new Random(random.Next()));
        _leaseRandom = new Random(seed ^ 0x1EA5E);
        _hosts = [.. Enumerable.Range(0, _plan.Hosts).Select(i => new SimulatedHost(_world, $"host{i}", _plan.Disk, new Random(random.Next()), TimeSpan.FromSeconds(random.Next(-100, 100)), DrawClockRate()))];
        _volumeId = NewNonce();
        var leases = new LeaseJudge(_world, _plan, _bucket, new VolumeKeys(VolumeName), _volumeId);
        foreach (var host in _hosts) host.JournalKeptAside = leases.KeptAside;
        _judge = new Judge(_world, _plan, leases) { StoreFailed = _plan.Store.HasFaults };
        _initiators = new Initiators(_world, _plan, _judge, new Random(random.Next()));
        _initial = new History(_plan.Blocks);
    }

    /// <summary>Runs a seed.</summary>
    /// <exception cref="SimulationException">It found something; the message says what, and ends with the trace if that was asked for.</exception>
    /// <returns>The hash of all that happened.</returns>
    public static ulong Run(int seed, bool isTracing = false)
    {
        var run = new SeedRun(seed, isTracing);
        try
        {
            run._world.Note(null, run._plan.ToString());
            run._world.Run(run.RunAsync);
            return run._world.Hash;
        }
        catch (Exception e)
        {
            var trace = isTracing ? $"\n{string.Join('\n', run._world.Trace)}" : "";
            throw new SimulationException($"Seed {seed}, step {run._world.Steps}, {run._world.Now.TotalSeconds:F6} s: {(e is SimulationException ? e.Message : e.ToString())}{trace}", e);
        }
        finally
        {
            foreach (var host in run._hosts) host.Process?.Die();
        }
    }

    private async Task RunAsync()
    {
        CreateVolume();
        for (var i = 0; i < _plan.Events; i++)
        {
            await HappenAsync();
            if (_resizes < _plan.ResizesMax && _resizeRandom.Next(3) == 0) await GrowAsync();
            if (_random.Next(3) > 0 && _live.Count > 0) await Task.WhenAll(_live[^1].Clients);
            else await _world.DelayAsync(TimeSpan.FromMilliseconds(Math.Pow(2, _random.NextDouble() * 14)));
            if (_random.Next(6) == 0) await _world.DelayAsync(_plan.Options.RemoveAfter * (1 + _random.NextDouble())); // A quiet time, in which much is put in order.
            await SweepAsync();
        }

        await FinishAsync();
    }

    private void CreateVolume()
    {
        var record = new VolumeRecord
        {
            Name = VolumeName,
            Id = _volumeId,
            SizeBytes = (long)_plan.InitialBlocks * _plan.BlockBytes,
            BlockSizeBytes = _plan.BlockBytes,
            PhysicalBlockSizeBytes = VolumeSpec.PhysicalBlockSizeBytes,
            CreatedAt = DateTimeOffset.UnixEpoch,
        };
        _bucket.Put(new VolumeKeys(VolumeName).Record(1).Value, RecordCodec.Encode(record), Precondition.Absent);
    }

    private async Task HappenAsync()
    {
        if (!_hosts.Any(h => IsUp(h)))
        {
            if (_plan.JournalLosses && _random.Next(4) == 0) Pick(_hosts).LoseFiles();
            if (_plan.JournalRot && _random.Next(3) == 0) Pick(_hosts).Rot();
            _tasks.Add(ServeAsync(Pick(_hosts)));
            return;
        }

        if (_plan.HasLease && _leaseRandom.Next(3) == 0)
        {
            await HandOverAsync();
            return;
        }

        var host = Pick(_hosts.Where(IsUp).ToArray());
        switch (_random.Next(12))
        {
            case 0 or 1:
                await CrashAsync(host, host.Kill);
                break;
            case 2 or 3 when _plan.PowerCuts:
                await CrashAsync(host, host.CutPower);
                break;
            case 4 or 5 when Find(host) is { } serving:
                await CloseAsync(serving);
                break;
            case 6 when _plan.Suspensions:
                Suspend(host);
                break;
            case 7 when _plan.Outages:
                _judge.StoreFailed = true;
                _bucket.OutageUntil = _world.Now + TimeSpan.FromSeconds(Math.Pow(2, _random.NextDouble() * 8));
                _world.Record("outage", _bucket.OutageUntil.Ticks);
                break;
            case < 11 when _hosts.Any(h => !IsUp(h)):
                _tasks.Add(ServeAsync(Pick(_hosts.Where(h => !IsUp(h)).ToArray())));
                break;
            default:
                if (Find(host) is { } present && !host.Process!.IsSuspended) StartClients(present);
                break;
        }
    }

    /// <summary>The volume grows where it is served, beside whatever else goes on: the gateway may be cut off, suspended, killed or fenced in the middle.</summary>
    private async Task GrowAsync()
    {
        if (_live.FindLast(s => s.Process is { IsDead: false, IsSuspended: false } && !s.IsEnding) is not { } serving) return;
        _resizes++;
        var present = (int)serving.Volume.Geometry.CapacityBlocks;
        var blocks = _resizes == _plan.ResizesMax ? _plan.Blocks : _resizeRandom.Next(3) == 0 ? present + 1 : present + _resizeRandom.Next(_plan.Blocks - present + 1);
        blocks = Math.Clamp(blocks, present, _plan.Blocks); // A block, whole spans of the map's leaves, and all between.
        if (_resizeRandom.Next(3) > 0)
        {
            // In the middle of an opening, which takes about so many requests one after the other.
            StartAnother();
            await _world.DelayAsync(_plan.Store.LatencyMax * (_resizeRandom.NextDouble() * 12));
        }

        _tasks.Add(ResizeAsync(serving, blocks));
        if (_resizeRandom.Next(2) == 0) await _world.DelayAsync(TimeSpan.FromSeconds(_resizeRandom.NextDouble()));
        else StartClients(serving);
    }

    private async Task ResizeAsync(Serving serving, int blocks)
    {
        _world.Record("resize", blocks, process: serving.Process);
        try
        {
            await serving.Process.RunAsync(async () =>
            {
                var grew = await serving.Volume.ResizeAsync((long)blocks * _plan.BlockBytes, default);
                _judge.Resized(serving, blocks);
                return grew;
            });
        }
        catch (ProcessDiedException)
        {
            // The record may be there.
        }
        catch (Exception e) when (e is VolumeException or BlobStoreException or OperationCanceledException)
        {
            if (!_judge.MayFailToResize(serving, e)) _world.Fail($"{serving.Process.Name} could not grow its volume, without a reason: {e}");
            _world.Note(serving.Process, $"resize failed: {e.Message}");
        }
    }

    /// <summary>What a lease is about: an owner that does not answer, or whose successor does not wait to be asked.</summary>
    private async Task HandOverAsync()
    {
        var lease = _plan.Options.LeaseLength;
        var serving = _live.FindLast(s => s.Process is { IsDead: false, IsSuspended: false });
        switch (_leaseRandom.Next(8))
        {
            case 0 or 1 or 2 when serving is not null && !_plan.IsCalm:
                // It goes on with its initiators, and reaches nobody else.
                _judge.StoreFailed = true;
                serving.Process.CutOffUntil = _world.Now + (lease * (0.5 + (4 * _leaseRandom.NextDouble())));
                _world.Record("cut off", serving.Process.CutOffUntil.Ticks, process: serving.Process);
                StartAnother();
                await KeepBusyAsync(serving, lease * (1 + (3 * _leaseRandom.NextDouble())));
                break;
            case 3 when serving is not null && _plan.Suspensions:
                Suspend(serving.Host);
                StartAnother();
                await _world.DelayAsync(lease * (4 * _leaseRandom.NextDouble()));
                break;
            case 4 or 5:
                _tasks.Add(TakeOverAsync(force: _leaseRandom.Next(3) == 0));
                if (_leaseRandom.Next(2) == 0) StartAnother();
                if (serving is not null) await KeepBusyAsync(serving, lease * (2 * _leaseRandom.NextDouble()));
                break;
            case 6 when serving is not null:
                if (_leaseRandom.Next(2) == 0) serving.Host.Kill();
                else await CloseAsync(serving);
                StartAnother();
                await _world.DelayAsync(lease * (4 * _leaseRandom.NextDouble()));
                break;
            default:
                StartAnother();
                await _world.DelayAsync(lease * (3 * _leaseRandom.NextDouble()));
                break;
        }
    }

    private void StartAnother()
    {
        if (_hosts.Where(h => !IsUp(h)).ToArray() is { Length: > 0 } down) _tasks.Add(ServeAsync(down[_leaseRandom.Next(down.Length)]));
    }

    private async Task KeepBusyAsync(Serving serving, TimeSpan time)
    {
        for (var until = _world.Now + time; _world.Now < until; await _world.DelayAsync(_plan.Options.LeaseLength / 4))
            if (!serving.Process.IsDead && !serving.IsEnding && serving.Clients.TrueForAll(c => c.IsCompleted)) StartClients(serving);
    }

    /// <summary>An operator takes the volume from its owner, and may give up in the middle.</summary>
    private async Task TakeOverAsync(bool force, bool mayGiveUp = true)
    {
        var process = new SimulatedProcess(_world, $"operator{++_operators}");
        _world.Record(force ? "takeover by force" : "takeover", process: process);
        _judge.Attempts.Add((null, 0, process));
        if (mayGiveUp && _leaseRandom.Next(5) == 0) _world.After(_plan.Options.LeaseLength * (2 * _leaseRandom.NextDouble()), process.Die);
        var takeover = new VolumeTakeover(
            new StoreClient(_world, _bucket, process), _plan.Options, process.Name, new VirtualTime(_world, process, TimeSpan.Zero, DrawClockRate()), static _ => { }, NewNonce, new EngineLog(_world, process));
        try
        {
            var outcome = await process.RunAsync(() => takeover.RunAsync(VolumeName, force, default));
            _world.Record("taken over", outcome.Epoch, outcome.LastWriteLost, process: process);
        }
        catch (ProcessDiedException)
        {
            // What it claimed stays claimed.
        }
        catch (Exception e) when (e is BlobStoreException or VolumeException)
        {
            if (!_judge.MayFailToTakeOver(process, force, e)) _world.Fail($"{process.Name} could not take the volume over, without a reason: {e}");
            _world.Note(process, $"takeover failed: {e.Message}");
        }

        process.Die();
    }

    private double DrawClockRate() => 1 + (_plan.ClockErrorMax * ((2 * _leaseRandom.NextDouble()) - 1));

    /// <summary>Starts a gateway on a host, opens the volume, reads all of it, and lets initiators at it.</summary>
    private async Task<Serving?> ServeAsync(SimulatedHost host, int attemptsMax = AttemptsMax, bool mayForce = true)
    {
        var process = host.Start();
        _world.Record("started", process: process);
        var log = new EngineLog(_world, process);
        try
        {
            for (var attempt = 0; attempt < attemptsMax; attempt++)
            {
                _judge.Attempts.Add((host, host.JournalsLost, process));
                var freeBefore = _judge.Leases.FreeEpoch();
                Volume volume;
                try
                {
                    volume = await process.RunAsync(async () =>
                    {
                        var opened = await NewOpener(host, process, log).OpenAsync(VolumeName, default);
                        _judge.Leases.Serves(opened.Epoch);
                        return opened;
                    });
                }
                catch (Exception e) when (e is BlobStoreException or VolumeException)
                {
                    if (!_judge.MayFailToOpen(host, process, freeBefore, e)) _world.Fail($"{process.Name} could not open the volume, without a reason: {e}");
                    _world.Note(process, $"opening failed: {e.Message}");
                    if (!mayForce && e is VolumeException { Kind: VolumeErrorKind.OwnedElsewhere }) break;
                    await RecoverAsync(host, e, isPatient: attemptsMax > AttemptsMax);
                    await _world.DelayAsync(TimeSpan.FromSeconds(1 + (_random.NextDouble() * 5)));
                    continue;
                }

                var serving = new Serving(host, process, volume, log, _judge.ParentOf(volume.Epoch));
                if (await _initiators.ReadAllAsync(serving) is not { } found || !_judge.Accept(serving, found, _initial)) break;
                _live.Add(serving);
                StartClients(serving);
                return serving;
            }
        }
        catch (ProcessDiedException)
        {
            return null; // Killed on the way.
        }

        if (host.Process == process) host.Kill();
        return null;
    }

    private VolumeOpener NewOpener(SimulatedHost host, SimulatedProcess process, EngineLog log) => new(
        new StoreClient(_world, _bucket, process),
        _plan.Options,
        new JournalOptions { CapacityBytes = _plan.JournalBytes, Directory = host.Name },
        new HostDirectory(_world, host, process),
        process.Name,
        new VirtualTime(_world, process, host.WallError, host.ClockRate),
        new Random(_random.Next()),
        log,
        NewNonce,
        new HostDirectory(_world, host, process));

    /// <summary>What an operator does about a volume that does not open: a journal that cannot be used is moved away, sometimes.</summary>
    private async Task RecoverAsync(SimulatedHost host, Exception e, bool isPatient)
    {
        if (e is VolumeException { Kind: VolumeErrorKind.OwnedElsewhere })
        {
            // Whose journal is there will be asked first, sometimes.
            if (isPatient) await TakeOverAsync(force: true, mayGiveUp: false);
            else if (_leaseRandom.Next(2) == 0) await TakeOverAsync(force: _leaseRandom.Next(2) == 0);
            return;
        }

        if (e is not VolumeException { Kind: VolumeErrorKind.JournalMismatch or VolumeErrorKind.Damaged or VolumeErrorKind.Foreign or VolumeErrorKind.Unsupported or VolumeErrorKind.LocalDisk }) return;
        if (isPatient ? _bucket.Plan.ReadCorruptionRate == 0 : _random.Next(2) == 0) host.LoseFiles();
    }

    private void StartClients(Serving serving)
    {
        for (var i = 0; i < _plan.Depth; i++) serving.Clients.Add(_initiators.RunAsync(serving));
    }

    private async Task CloseAsync(Serving serving)
    {
        serving.IsEnding = true;
        if (_random.Next(2) == 0) await Task.WhenAll(serving.Clients);
        if (serving.Process.IsDead || serving.Process.IsSuspended) return;
        var completed = serving.History!.CompletedFloor;
        _world.Record("closing", process: serving.Process);
        try
        {
            await serving.Process.RunAsync(async () =>
            {
                await serving.Volume.DisposeAsync();
                return true;
            });
        }
        catch (ProcessDiedException)
        {
            return;
        }

        _world.Record("closed", serving.Log.PendingAtClose ?? -1, process: serving.Process);
        // Where only the bucket makes a flush durable, closing promises nothing that was not flushed: the next gateway need not have this journal.
        if (!serving.Host.DiskFailed && _plan.Options.Durability == Durability.Journal) serving.History.RaiseFlushed(completed);
        if (serving.Log.PendingAtClose == 0) _judge.Drained(serving, completed);
        serving.Host.Kill();
    }

    /// <summary>Ends a process at once, or just after it has done something that is easily got wrong.</summary>
    private async Task CrashAsync(SimulatedHost host, Action crash)
    {
        var process = host.Process!;
        if (_random.Next(2) == 0)
        {
            crash();
            return;
        }

        var what = _plan.CutsAfterFlushes && _random.Next(4) > 0 ? "flushed" : Pick(Moments);
        var count = _random.Next(1, 10);
        var happened = new TaskCompletionSource();
        void Watch(string seen, SimulatedProcess? by)
        {
            if (by != process || seen != what || --count != 0) return;
            _world.Watch -= Watch;
            _world.Interrupt(Crash);
        }

        void Crash()
        {
            if (happened.Task.IsCompleted) return;
            if (!process.IsDead) crash();
            happened.SetResult();
        }

        _world.Watch += Watch;
        _world.After(TimeSpan.FromSeconds(5), Crash);
        await happened.Task;
        _world.Watch -= Watch;
    }

    private void Suspend(SimulatedHost host)
    {
        var process = host.Process!;
        process.Suspend();
        _world.Record("suspended", process: process);
        _world.After(TimeSpan.FromSeconds(Math.Pow(2, _random.NextDouble() * 9)), () =>
        {
            _world.Record("resumed", process: process);
            process.Resume();
        });
    }

    /// <summary>Forgets gateways that are gone; what they had not answered stays open for ever.</summary>
    private Task SweepAsync()
    {
        foreach (var serving in _live.Where(s => s.Process.IsDead && s.Log.JournalWasFull)) serving.History!.FailOpenWrites();
        _live.RemoveAll(s => s.Process.IsDead);
        return Task.CompletedTask;
    }

    /// <summary>Ends all faults, opens the volume once more, and once more where no journal helps, and compares.</summary>
    private async Task FinishAsync()
    {
        _world.Record("finish");
        foreach (var host in _hosts)
        {
            host.Process?.Resume();
            if (host.Process is { } process) process.CutOffUntil = TimeSpan.Zero;
            host.Plan = _plan.Disk with { WriteErrorRate = 0, ReadErrorRate = 0, FlushErrorRate = 0, NoSpaceRate = 0, SlowRate = 0, Lies = false };
        }

        _bucket.OutageUntil = TimeSpan.Zero;
        _bucket.Plan = new StorePlan { LatencyMax = _plan.Store.LatencyMax };
        foreach (var host in _hosts)
        {
            if (_random.Next(2) == 0 && Find(host) is { } serving) await CloseAsync(serving);
            if (IsUp(host)) host.Kill();
        }

        await Task.WhenAll(_tasks);
        await SweepAsync();
        if (_plan.Store.LateEffectRate > 0) await _world.DelayAsync(_plan.Store.LateEffectMax + _plan.Store.GiveUpAfter);

        var last = _plan.HasLease ? await ServeWithoutForceAsync() : null;
        last ??= await ServeAsync(Pick(_hosts), HealedAttemptsMax);
        if (last is null)
        {
            _world.Fail("The volume does not open although nothing is wrong any more.");
            return;
        }

        await Task.WhenAll(last.Clients);
        if (!await _initiators.DrainAsync(last)) _world.Fail("The volume does not drain although nothing is wrong any more.");
        if (await _initiators.ReadAllAsync(last) is null) _world.Fail("The volume cannot be read although nothing is wrong any more.");
        await CloseAsync(last);
        await CheckBucketAsync();

        var elsewhere = Pick(_hosts);
        elsewhere.LoseFiles();
        if (await ServeAsync(elsewhere, HealedAttemptsMax) is not { } check) _world.Fail("The volume does not open from the bucket alone.");
        else await Task.WhenAll(check.Clients);
    }

    /// <summary>Tries each host in turn: the one that has what the bucket lacks opens the volume.</summary>
    private async Task<Serving?> ServeWithoutForceAsync()
    {
        var first = _leaseRandom.Next(_hosts.Length);
        for (var i = 0; i < _hosts.Length; i++)
            if (await ServeAsync(_hosts[(first + i) % _hosts.Length], HealedAttemptsMax, mayForce: false) is { } serving) return serving;
        return null;
    }

    /// <summary>What 'volume check' says of a bucket at rest: every checksum, reference and count.</summary>
    private async Task CheckBucketAsync()
    {
        var report = await new VolumeChecker(new StoreClient(_world, _bucket, _world.Outside), VolumeName).RunAsync(default);
        _world.Record("checked", report.Segments, report.StoredBytes);
        if (!report.IsClean) _world.Fail($"The bucket is not sound: {string.Join(' ', report.Findings.Select(f => $"{f.Severity} {f.Blob}: {f.Message}"))} {string.Join(' ', report.Damaged)}");
    }

    private static bool IsUp(SimulatedHost host) => host.Process is { IsDead: false };

    private Serving? Find(SimulatedHost host) => _live.Find(s => s.Host == host && !s.Process.IsDead);

    private T Pick<T>(T[] from) => from[_random.Next(from.Length)];

    private Guid NewNonce()
    {
        Span<byte> bytes = stackalloc byte[16];
        _nonces.NextBytes(bytes);
        return new Guid(bytes);
    }
}
