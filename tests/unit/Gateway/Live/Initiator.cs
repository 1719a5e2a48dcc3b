using System.Buffers.Binary;
using System.Diagnostics;
using Gateway.Tcmu.Simulation;

namespace Gateway.Tests.Live;

/// <summary>Uses a device at the rates that it is told, whatever the answers are. Its thread plays the kernel's half of the ring.</summary>
internal sealed class Initiator : ICompletionSink, IDisposable
{
    private const int BlockBytes = 4096;
    private const int BlocksOfDevice = 8192;
    private const int InFlightMax = 64;
    private const int StepMilliseconds = 5;

    private readonly RingSimulator _ring;
    private readonly Random _random;
    private readonly byte[] _data = new byte[BlockBytes * 16];
    private readonly Thread _thread;
    private volatile bool _stop;
    private volatile int _readsPerSecond;
    private volatile int _writesPerSecond;
    private volatile int _flushesPerSecond;
    private volatile int _blocks = 1;
    private volatile int _span = BlocksOfDevice;
    private long _answered;
    private long _failed;
    private long _tag;

    public Initiator(RingSimulator ring, int seed)
    {
        _ring = ring;
        _random = new Random(seed);
        _random.NextBytes(_data);
        _thread = new Thread(Run) { Name = "initiator", IsBackground = true };
        _thread.Start();
    }

    /// <summary>Commands answered, and those of them that did not end in GOOD.</summary>
    public (long Answered, long Failed) Counts => (Volatile.Read(ref _answered), Volatile.Read(ref _failed));

    /// <summary>From now on. What cannot be in flight (64 commands) is left out, not made up for.</summary>
    /// <param name="blocks">Blocks of 4 KiB of each command, up to 16.</param>
    /// <param name="span">First blocks of the device that are used.</param>
    /// <param name="flushesPerSecond">SYNCHRONIZE CACHE.</param>
    public void Load(int readsPerSecond, int writesPerSecond, int blocks = 1, int span = BlocksOfDevice, int flushesPerSecond = 0) =>
        (_blocks, _span, _readsPerSecond, _writesPerSecond, _flushesPerSecond) = (blocks, span, readsPerSecond, writesPerSecond, flushesPerSecond);

    public void OnCompleted(SimulatedCommand command)
    {
        Interlocked.Increment(ref _answered);
        if (command.Status != Scsi.ScsiStatus.Good) Interlocked.Increment(ref _failed);
    }

    public void Dispose()
    {
        _stop = true;
        _thread.Join();
    }

    private void Run()
    {
        var clock = Stopwatch.StartNew();
        var (before, reads, writes, flushes) = (clock.Elapsed, 0.0, 0.0, 0.0);
        while (!_stop)
        {
            var seconds = (clock.Elapsed - before).TotalSeconds;
            before = clock.Elapsed;
            reads = Send(0x28, DataDirection.FromDevice, Math.Min(InFlightMax, reads + seconds * _readsPerSecond));
            writes = Send(0x2A, DataDirection.ToDevice, Math.Min(InFlightMax, writes + seconds * _writesPerSecond));
            flushes = Send(0x35, DataDirection.None, Math.Min(InFlightMax, flushes + seconds * _flushesPerSecond));
            _ring.Reap(this);
            _ring.WaitForKick(StepMilliseconds);
        }
    }

    /// <summary>Sends as many as are due; what is left of one.</summary>
    private double Send(byte operationCode, DataDirection direction, double due)
    {
        var cdb = new byte[10];
        var sent = false;
        for (; due >= 1 && _ring.InFlight < InFlightMax; due--)
        {
            var length = direction == DataDirection.None ? 0 : _blocks * BlockBytes;
            cdb[0] = operationCode;
            BinaryPrimitives.WriteUInt32BigEndian(cdb.AsSpan(2), (uint)_random.Next(Math.Max(1, _span - _blocks)));
            BinaryPrimitives.WriteUInt16BigEndian(cdb.AsSpan(7), (ushort)_blocks);
            _random.NextBytes(_data.AsSpan(0, 64)); // Enough that no two writes are alike.
            if (!_ring.TrySubmit(cdb, direction, length, direction == DataDirection.ToDevice ? _data.AsSpan(0, length) : [], ++_tag)) break;
            sent = true;
        }

        if (sent) _ring.Ring();
        return due;
    }
}
