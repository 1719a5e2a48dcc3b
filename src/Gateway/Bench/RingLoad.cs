using System.Buffers.Binary;
using System.Globalization;
using Gateway.Scsi;
using Gateway.Tcmu;
using Gateway.Tcmu.Simulation;
using Microsoft.Extensions.Logging.Abstractions;

namespace Gateway.Bench;

/// <summary>A load could not be carried through: a command failed, or the ring stalled. The message says which.</summary>
internal sealed class LoadException(string message) : Exception(message);

/// <summary>Puts a load on a SCSI target through the real ring, whose kernel side is simulated, and measures it.</summary>
/// <remarks>
/// The initiator is a set of lanes, as many as the load is deep. Each sends a command, waits for its answer, and sends the next: so a sync
/// after a write covers that write. All lanes run on one thread, which plays the kernel's half of the ring; the ring's own thread executes the
/// commands. The thread submits what it can, rings the doorbell once, takes what is complete, and sleeps if nothing is.
/// Nothing is allocated while it runs.
/// </remarks>
internal sealed class RingLoad : ICompletionSink, IDisposable
{
    private const int DataPoolBytes = 8 << 20;
    private const int DataAlignmentBytes = 64;
    private const int StallMilliseconds = 60_000;
    private const int RateStepMilliseconds = 1;

    // As the kernel's: MB_CMDR_SIZE_DEF of target_core_user.c, less the mailbox.
    private const int RingLengthBytes = (8 << 20) - 128;

    private const byte Read10 = 0x28;
    private const byte Write10 = 0x2A;
    private const byte SynchronizeCache10 = 0x35;
    private const byte Read16 = 0x88;
    private const byte Write16 = 0x8A;
    private const byte FuaBit = 0x08;

    private readonly Workload _workload;
    private readonly RingSimulator _simulator;
    private readonly TimeProvider _time;
    private readonly uint _blocks;
    private readonly ulong _slots;
    private readonly ulong _allSlots;
    private readonly byte[] _data;
    private readonly byte[] _cdb = new byte[16];
    private readonly Lane[] _lanes;
    private readonly Stack<int> _ready;
    private readonly double _nanosecondsPerTick;
    private FastRandom _random;
    private ulong _nextSlot;
    private long _completedAt;
    private string? _failure;
    private LoadResult _result = new();

    /// <param name="workload">What to do; without faults for this device.</param>
    /// <param name="logicalBlockBytes">The device's logical block.</param>
    /// <param name="capacityBytes">Its length.</param>
    /// <param name="time">The clock of all figures.</param>
    public RingLoad(Workload workload, int logicalBlockBytes, long capacityBytes, TimeProvider time)
    {
        _workload = workload;
        _time = time;
        _random = new FastRandom(workload.Seed);
        _blocks = (uint)(workload.BlockBytes / logicalBlockBytes);
        _slots = (ulong)(Math.Min(workload.SpanBytes == 0 ? long.MaxValue : workload.SpanBytes, capacityBytes) / workload.BlockBytes);
        _allSlots = (ulong)(capacityBytes / workload.BlockBytes);
        _nanosecondsPerTick = 1e9 / time.TimestampFrequency;
        _data = new byte[workload.Writes ? DataPoolBytes + workload.BlockBytes : 0];
        _random.Fill(_data.AsSpan(0, _data.Length / sizeof(ulong) * sizeof(ulong)));
        _lanes = new Lane[workload.Depth];
        _ready = new Stack<int>(workload.Depth);
        for (var lane = workload.Depth - 1; lane >= 0; lane--) _ready.Push(lane);

        // One block of the data area for each command, as if data_pages_per_blk of the device were set for this size.
        var dataBlock = (workload.BlockBytes + 4095) / 4096 * 4096;
        _simulator = new RingSimulator(new RingSimulatorOptions
        {
            Strict = false,
            RingLengthBytes = RingLengthBytes,
            DataBlockBytes = dataBlock,
            DataBlocks = workload.Depth,
            CommandIds = workload.Depth,
        });
    }

    /// <summary>The ring that serves the load, once it runs.</summary>
    public RingDevice? Device { get; private set; }

    private enum Phase
    {
        Transfer = 0,
        Sync,
    }

    /// <summary>Runs the load to its end, or until it is cancelled: then what was measured so far is the result.</summary>
    /// <exception cref="LoadException">A command failed, or no answer came for a minute.</exception>
    public async Task<LoadResult> RunAsync(IScsiTarget target, RingDeviceOptions options, CancellationToken cancellationToken)
    {
        var device = new RingDevice(ResourceUse.RingThread, _simulator.OpenPort(), target, options, null, _time, NullLogger.Instance);
        Device = device;
        await using (device)
        {
            await device.StartAsync(CancellationToken.None);
            var done = new TaskCompletionSource<LoadResult>(TaskCreationOptions.RunContinuationsAsynchronously);
            new Thread(() =>
            {
                try
                {
                    done.SetResult(Run(cancellationToken));
                }
                catch (Exception e)
                {
                    done.SetException(e);
                }
            })
            { Name = ResourceUse.InitiatorThread, IsBackground = true }.Start();
            return await done.Task;
        }
    }

    public void OnCompleted(SimulatedCommand command)
    {
        var index = (int)command.Tag;
        ref var lane = ref _lanes[index];
        _ready.Push(index);
        if (command.Status != ScsiStatus.Good)
        {
            OnFailed(command, ref lane);
            return;
        }

        var nanoseconds = (long)((_completedAt - lane.SentAt) * _nanosecondsPerTick);
        lane.Again = false;
        if (lane.Phase == Phase.Sync)
        {
            _result.Syncs.Record(nanoseconds);
            (lane.Phase, lane.UnsyncedWrites) = (Phase.Transfer, 0);
            return;
        }

        (lane.IsFar ? _result.FarReads : lane.IsWrite ? _result.Writes : _result.Reads).Record(nanoseconds);
        if (lane.IsWrite && ++lane.UnsyncedWrites == _workload.FsyncEvery) lane.Phase = Phase.Sync;
    }

    public void Dispose() => _simulator.Dispose();

    private LoadResult Run(CancellationToken cancellationToken)
    {
        if (_workload.Ramp > TimeSpan.Zero) RunPhase(_workload.Ramp, _workload.RampNumber, cancellationToken);
        _result = new LoadResult();
        var use = ResourceUse.Start();
        var start = _time.GetTimestamp();
        RunPhase(_workload.Runtime, _workload.NumberMax, cancellationToken);
        _result.Elapsed = _time.GetElapsedTime(start);
        _result.Use = ResourceUse.End() - use;
        _result.Interrupted = cancellationToken.IsCancellationRequested;
        var measured = _result;
        _result = new LoadResult(); // For what is still in flight.
        while (_simulator.InFlight > 0 && _failure is null) Reap();
        return _failure is null ? measured : throw new LoadException(_failure);
    }

    /// <summary>Keeps all lanes busy for a time, or until so many transfers were measured; returns with commands in flight.</summary>
    private void RunPhase(TimeSpan duration, long transfersMax, CancellationToken cancellationToken)
    {
        var start = _time.GetTimestamp();
        var end = start + (long)(duration.TotalSeconds * _time.TimestampFrequency);
        long sent = 0;
        while (_failure is null && !cancellationToken.IsCancellationRequested)
        {
            var now = _time.GetTimestamp();
            if (now >= end || (transfersMax > 0 && _result.Transfers >= transfersMax)) return;
            var allowed = _workload.RateMax == 0 ? long.MaxValue : (long)(_time.GetElapsedTime(start, now).TotalSeconds * _workload.RateMax) - sent;
            var burst = 0;
            while (burst < allowed && _ready.TryPeek(out var lane) && TrySubmit(lane, now))
            {
                _ready.Pop();
                burst++;
            }

            sent += burst;
            if (burst > 0) _simulator.Ring();
            if (allowed > 0 || _simulator.InFlight == _workload.Depth) Reap();
            else WaitForRate();
        }

        if (_failure is not null) throw new LoadException(_failure);
    }

    /// <summary>Takes what is complete, and waits a little, as the rate does not allow more commands yet.</summary>
    private void WaitForRate()
    {
        _completedAt = _time.GetTimestamp();
        if (_simulator.Reap(this) == 0) _simulator.WaitForKick(RateStepMilliseconds);
    }

    /// <summary>Takes what is complete; sleeps for it if nothing is.</summary>
    private void Reap()
    {
        _completedAt = _time.GetTimestamp();
        if (_simulator.Reap(this) > 0) return;
        if (_simulator.IsBroken) throw new LoadException($"The ring broke: {string.Join("; ", _simulator.Violations)}.");
        if (!_simulator.WaitForKick(StallMilliseconds)) throw new LoadException($"No answer came for {StallMilliseconds / 1000} s, with {_simulator.InFlight} commands in flight.");
    }

    private bool TrySubmit(int index, long now)
    {
        ref var lane = ref _lanes[index];
        if (!lane.Again) Choose(ref lane);
        var cdb = Encode(lane);
        var submitted = lane.Phase == Phase.Sync ? _simulator.TrySubmit(cdb, DataDirection.None, 0, [], index)
            : lane.IsWrite ? _simulator.TrySubmit(cdb, DataDirection.ToDevice, _workload.BlockBytes, NextData(), index)
            : _simulator.TrySubmit(cdb, DataDirection.FromDevice, _workload.BlockBytes, [], index);
        lane.Again = true; // Until it succeeds, it stays the same command.
        if (submitted) lane.SentAt = now;
        return submitted;
    }

    /// <summary>Decides a lane's next command.</summary>
    private void Choose(ref Lane lane)
    {
        if (lane.Phase == Phase.Sync) return;
        if (_workload.Beside is { } beside)
        {
            var draw = _random.Next(1_000_000) / 1e6;
            (lane.IsWrite, lane.IsFar) = (draw < beside.Writes, draw >= 1 - beside.FarReads);
            lane.Slot = lane.IsFar ? (2 * _slots) + _random.Next(_allSlots - (2 * _slots)) : (lane.IsWrite ? _slots : 0) + _random.Next(_slots);
            return;
        }

        lane.IsWrite = _workload.Pattern switch
        {
            AccessPattern.Write or AccessPattern.RandWrite => true,
            AccessPattern.RandRw => (_random.Next() & 1) != 0,
            _ => false,
        };
        if (_workload.IsRandom)
        {
            lane.Slot = _random.Next(_slots);
            return;
        }

        lane.Slot = _nextSlot;
        if (++_nextSlot == _slots) _nextSlot = 0;
    }

    /// <summary>The CDB that Linux would send: of 10 bytes where the address fits.</summary>
    private ReadOnlySpan<byte> Encode(in Lane lane)
    {
        var cdb = _cdb.AsSpan();
        cdb.Clear();
        if (lane.Phase == Phase.Sync)
        {
            cdb[0] = SynchronizeCache10;
            return cdb[..10];
        }

        var lba = lane.Slot * _blocks;
        cdb[1] = lane.IsWrite && _workload.Fua ? FuaBit : (byte)0;
        if (lba + _blocks <= uint.MaxValue && _blocks <= ushort.MaxValue)
        {
            cdb[0] = lane.IsWrite ? Write10 : Read10;
            BinaryPrimitives.WriteUInt32BigEndian(cdb[2..], (uint)lba);
            BinaryPrimitives.WriteUInt16BigEndian(cdb[7..], (ushort)_blocks);
            return cdb[..10];
        }

        cdb[0] = lane.IsWrite ? Write16 : Read16;
        BinaryPrimitives.WriteUInt64BigEndian(cdb[2..], lba);
        BinaryPrimitives.WriteUInt32BigEndian(cdb[10..], _blocks);
        return cdb;
    }

    /// <summary>Bytes that do not compress, from a random place of a pool: making them anew would cost more than what is measured.</summary>
    private ReadOnlySpan<byte> NextData() =>
        _data.AsSpan((int)_random.Next(DataPoolBytes / DataAlignmentBytes) * DataAlignmentBytes, _workload.BlockBytes);

    private void OnFailed(SimulatedCommand command, ref Lane lane)
    {
        var (key, asc, ascq) = ((SenseKey)(command.Sense[2] & 0xF), command.Sense[12], command.Sense[13]);
        if (command.Status == ScsiStatus.CheckCondition && key == SenseKey.NotReady && asc == 0x04 && ascq is 0x07 or 0x14)
        {
            _result.Retries++; // Store or journal are behind: the lane sends the same command again.
            return;
        }

        var what = lane.Phase == Phase.Sync ? "SYNCHRONIZE CACHE" : lane.IsWrite ? "A write" : "A read";
        var sense = command.Status == ScsiStatus.CheckCondition ? string.Create(CultureInfo.InvariantCulture, $"CHECK CONDITION, {key} {asc:X2}h/{ascq:X2}h") : command.Status.ToString();
        _failure ??= $"{what} at block {lane.Slot * _blocks} ended in {sense}. docs/semantics.md says what that means; warnings above, if there are any, say why.";
    }

    /// <summary>One of the initiator's threads, so to speak.</summary>
    private struct Lane
    {
        public long SentAt;
        public ulong Slot;
        public int UnsyncedWrites;
        public Phase Phase;
        public bool IsWrite;
        public bool IsFar;

        /// <summary>The command was decided and has to be sent, or sent again.</summary>
        public bool Again;
    }
}
