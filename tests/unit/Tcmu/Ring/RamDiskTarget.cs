using System.Buffers.Binary;
using System.Threading.Tasks.Sources;
using Gateway.Scsi;

namespace Gateway.Tcmu.Tests.Ring;

/// <summary>A small disk and a few commands that exercise the answer's forms. Completes some commands later, out of order.</summary>
/// <remarks>Allocates nothing in steady state. Deferred commands end when someone calls <see cref="CompleteSome"/>, on that thread.</remarks>
internal sealed class RamDiskTarget(int blocks, double deferProbability, int seed) : IScsiTarget
{
    public const int BlockBytes = 512;
    public const byte TestUnitReady = 0x00;
    public const byte FailAsTold = 0x03;
    public const byte FillPart = 0x12;
    public const byte Read10 = 0x28;
    public const byte Write10 = 0x2A;
    public const byte Throw = 0x1D;

    private readonly byte[] _disk = new byte[blocks * BlockBytes];
    private readonly Random _random = new(seed);
    private readonly Lock _lock = new();
    private readonly List<Deferred> _deferred = [];
    private readonly Stack<Deferred> _pool = new();

    public int DeferredCount
    {
        get
        {
            lock (_lock) return _deferred.Count;
        }
    }

    public ValueTask ExecuteAsync(ScsiCommand command, CancellationToken cancellationToken)
    {
        if (deferProbability == 0 || _random.NextDouble() >= deferProbability)
        {
            Execute(command);
            return ValueTask.CompletedTask;
        }

        lock (_lock)
        {
            if (!_pool.TryPop(out var deferred)) deferred = new Deferred(this);
            _deferred.Add(deferred);
            return deferred.Begin(command);
        }
    }

    /// <summary>Ends up to <paramref name="count"/> deferred commands, in random order, on this thread; how many it were.</summary>
    public int CompleteSome(Random random, int count)
    {
        for (var done = 0; done < count; done++)
        {
            Deferred deferred;
            lock (_lock)
            {
                if (_deferred.Count == 0) return done;
                var index = random.Next(_deferred.Count);
                deferred = _deferred[index];
                _deferred[index] = _deferred[^1];
                _deferred.RemoveAt(_deferred.Count - 1);
            }

            deferred.Complete();
        }

        return count;
    }

    private void Execute(ScsiCommand command)
    {
        var cdb = command.Cdb;
        switch (cdb[0])
        {
            case TestUnitReady:
                command.CompleteGood();
                break;
            case Read10 or Write10:
                var disk = _disk.AsSpan(
                    (int)BinaryPrimitives.ReadUInt32BigEndian(cdb[2..]) * BlockBytes, BinaryPrimitives.ReadUInt16BigEndian(cdb[7..]) * BlockBytes);
                if (cdb[0] == Read10) command.Data.CopyFrom(0, disk);
                else command.Data.CopyTo(0, disk);
                command.CompleteGood();
                break;
            case FillPart:
                var fill = cdb[1..3];
                for (var i = 0; i < BinaryPrimitives.ReadUInt16BigEndian(cdb[3..]); i++) command.Data.CopyFrom(i, fill[..1]);
                command.CompleteGood(BinaryPrimitives.ReadUInt16BigEndian(cdb[3..]));
                break;
            case FailAsTold:
                command.CompleteCheckCondition(new SenseData((SenseKey)cdb[1], cdb[2], cdb[3]));
                break;
            case Throw:
                throw new InvalidOperationException("as told");
            default:
                command.Data.CopyFrom(0, cdb);
                command.CompleteGood(cdb.Length);
                break;
        }
    }

    private sealed class Deferred(RamDiskTarget target) : IValueTaskSource
    {
        private ManualResetValueTaskSourceCore<bool> _core;
        private ScsiCommand? _command;

        public ValueTask Begin(ScsiCommand command)
        {
            _command = command;
            return new ValueTask(this, _core.Version);
        }

        public void Complete()
        {
            // The data are copied only now: the buffers have to be the command's own until it ends.
            try
            {
                target.Execute(_command!);
            }
            catch (InvalidOperationException e)
            {
                _core.SetException(e);
                return;
            }

            _core.SetResult(true);
        }

        public ValueTaskSourceStatus GetStatus(short token) => _core.GetStatus(token);

        public void OnCompleted(Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags) =>
            _core.OnCompleted(continuation, state, token, flags);

        public void GetResult(short token)
        {
            try
            {
                _core.GetResult(token);
            }
            finally
            {
                _core.Reset();
                lock (target._lock) target._pool.Push(this);
            }
        }
    }
}
