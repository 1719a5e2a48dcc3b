using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Gateway.Scsi;
using Gateway.Tcmu.Simulation;

namespace Gateway.Tcmu.Tests.Ring;

/// <summary>An initiator that submits random commands to a <see cref="RamDiskTarget"/> behind a simulated ring, and checks each answer with a model.</summary>
internal sealed class RandomTraffic(RingSimulator simulator, RamDiskTarget target, int seed, int diskBlocks, int depth, int maxBlocks) : ICompletionSink
{
    // Commands on the same blocks at the same time have no defined order, so the model submits none.
    private readonly bool[] _busy = new bool[diskBlocks];
    private readonly byte[] _model = new byte[diskBlocks * RamDiskTarget.BlockBytes];
    private readonly Random _random = new(seed);
    private readonly byte[] _cdb = new byte[ScsiCommand.CdbLengthMaxBytes];
    private readonly byte[] _scratch = new byte[ScsiCommand.CdbLengthMaxBytes];
    private readonly ushort[] _ids = new ushort[64];
    private string? _mismatch;

    private enum Kind
    {
        Read,
        Write,
        Ready,
        Part,
        Fail,
        Echo,
    }

    public long Completed { get; private set; }

    public long TaskManagementEntries { get; private set; }

    public long UnknownEntries { get; private set; }

    /// <summary>Runs until <paramref name="count"/> more commands completed; what went wrong first, or null.</summary>
    public string? Run(long count)
    {
        var (submitted, end) = (Completed + simulator.InFlight, Completed + count);
        var idle = 0;
        while (Completed < end)
        {
            var burst = 1 + _random.Next(depth);
            var entries = 0;
            while (entries < burst && submitted < end && simulator.InFlight < depth && SubmitNext(ref submitted)) entries++;
            if (entries > 0) simulator.Ring();

            var worked = target.CompleteSome(_random, _random.Next(depth)) > 0;
            worked |= simulator.Reap(this) > 0;
            if (_mismatch is not null || simulator.Violations.Count > 0) return _mismatch ?? simulator.Violations[0];
            if (worked || entries > 0) idle = 0;
            else if (!simulator.WaitForKick(1) && ++idle > 10_000) return $"stalled with {simulator.InFlight} commands in flight";
        }

        return null;
    }

    public void OnCompleted(SimulatedCommand command)
    {
        Completed++;
        var (kind, a, b) = ((Kind)(command.Tag >> 56), (int)(command.Tag >> 24) & int.MaxValue, (int)command.Tag & 0xFFFFFF);
        var ok = kind switch
        {
            Kind.Read => command.Status == ScsiStatus.Good && DataEquals(command, _model.AsSpan(a * RamDiskTarget.BlockBytes, b * RamDiskTarget.BlockBytes)),
            Kind.Fail => command.Status == ScsiStatus.CheckCondition && (command.Sense[2], command.Sense[12], command.Sense[13]) == ((byte)a, (byte)(b >> 8), (byte)b),
            Kind.Part => command.Status == ScsiStatus.Good && PartIsFilled(command, a, (byte)b),
            Kind.Echo => command.Status == ScsiStatus.Good && DataEquals(command, EchoCdb(_scratch, a)),
            _ => command.Status == ScsiStatus.Good,
        };
        if (kind is Kind.Read or Kind.Write) _busy.AsSpan(a, b).Clear();
        if (!ok) _mismatch ??= $"{kind} {a} {b} ended in {command.Status} with {command.DataInLengthBytes} bytes other than the model's";
    }

    private bool SubmitNext(ref long submitted)
    {
        var pick = _random.Next(100);
        switch (pick)
        {
            case < 80:
                return SubmitMedia(pick < 40 ? Kind.Read : Kind.Write, ref submitted);
            case < 86:
                _cdb.AsSpan(0, 6).Clear();
                return Count(simulator.TrySubmit(_cdb.AsSpan(0, 6), DataDirection.None, 0, [], Tag(Kind.Ready, 0, 0)), ref submitted);
            case < 91:
                return SubmitPart(ref submitted);
            case < 94:
                _cdb.AsSpan(0, 6).Clear();
                (_cdb[0], _cdb[1], _cdb[2], _cdb[3]) = (RamDiskTarget.FailAsTold, (byte)(1 + _random.Next(14)), (byte)_random.Next(256), (byte)_random.Next(256));
                return Count(
                    simulator.TrySubmit(_cdb.AsSpan(0, 6), DataDirection.FromDevice, _random.Next(64), [], Tag(Kind.Fail, _cdb[1], _cdb[2] << 8 | _cdb[3])), ref submitted);
            case < 97:
                var choice = _random.Next(1 << 20);
                var cdb = EchoCdb(_cdb, choice);
                return Count(simulator.TrySubmit(cdb, DataDirection.FromDevice, cdb.Length + _random.Next(3), [], Tag(Kind.Echo, choice, 0)), ref submitted);
            case < 99:
                var ids = _ids.AsSpan(0, _random.Next(_ids.Length));
                if (!simulator.TrySubmitTaskManagement(TmrType.LunReset, ids)) return false;
                TaskManagementEntries++;
                return true;
            default:
                if (!simulator.TrySubmitUnknown(3 + _random.Next(5), 8 * (1 + _random.Next(32)))) return false;
                UnknownEntries++;
                return true;
        }
    }

    private bool SubmitMedia(Kind kind, ref long submitted)
    {
        var size = _random.Next(100);
        var blocks = size < 75 ? 1 : 1 + _random.Next(size < 95 ? Math.Min(4, maxBlocks) : maxBlocks);
        var lba = _random.Next(diskBlocks - blocks + 1);
        if (_busy.AsSpan(lba, blocks).Contains(true)) return true; // Another, next time.

        var cdb = _cdb.AsSpan(0, 10);
        cdb.Clear();
        cdb[0] = kind == Kind.Read ? RamDiskTarget.Read10 : RamDiskTarget.Write10;
        BinaryPrimitives.WriteUInt32BigEndian(cdb[2..], (uint)lba);
        BinaryPrimitives.WriteUInt16BigEndian(cdb[7..], (ushort)blocks);
        var bytes = _model.AsSpan(lba * RamDiskTarget.BlockBytes, blocks * RamDiskTarget.BlockBytes);
        if (kind == Kind.Write)
        {
            // New bytes, cheaply: one word of each block tells its versions apart, the rest its place.
            var word = _random.NextInt64();
            for (var i = 0; i < bytes.Length; i += 64) MemoryMarshal.Write(bytes[i..], word + i);
        }

        // A refused write leaves the model changed, so it is tried until it is taken.
        var direction = kind == Kind.Read ? DataDirection.FromDevice : DataDirection.ToDevice;
        while (!simulator.TrySubmit(cdb, direction, bytes.Length, kind == Kind.Write ? bytes : [], Tag(kind, lba, blocks)))
        {
            if (kind == Kind.Read) return false;
            simulator.Ring();
            target.CompleteSome(_random, depth);
            if (simulator.Reap(this) == 0) simulator.WaitForKick(1);
            if (_mismatch is not null || simulator.IsBroken) return false;
        }

        _busy.AsSpan(lba, blocks).Fill(true);
        return Count(true, ref submitted);
    }

    private bool SubmitPart(ref long submitted)
    {
        var cdb = _cdb.AsSpan(0, 6);
        cdb.Clear();
        (cdb[0], cdb[1]) = (RamDiskTarget.FillPart, (byte)_random.Next(256));
        var length = 1 + _random.Next(200);
        var filled = _random.Next(length + 1);
        BinaryPrimitives.WriteUInt16BigEndian(cdb[3..], (ushort)filled);
        // An answer of 0 bytes cannot be expressed: the whole buffer is delivered, and has to be zeroes.
        return Count(simulator.TrySubmit(cdb, DataDirection.FromDevice, length, [], Tag(Kind.Part, filled > 0 ? filled : length << 16, cdb[1])), ref submitted);
    }

    private bool PartIsFilled(SimulatedCommand command, int expected, byte fill)
    {
        if (expected >> 16 != 0) (expected, fill) = (expected >> 16, 0);
        return DataEquals(command, Filled(expected, fill));
    }

    private ReadOnlySpan<byte> Filled(int length, byte fill)
    {
        _scratch.AsSpan(0, length).Fill(fill);
        return _scratch.AsSpan(0, length);
    }

    /// <summary>A CDB of any length group that the target does not know, made from a number.</summary>
    private static Span<byte> EchoCdb(byte[] buffer, int choice)
    {
        buffer.AsSpan().Fill((byte)choice);
        buffer[0] = (choice % 5) switch { 0 => 0x01, 1 => 0x3C, 2 => 0x9E, 3 => 0xA3, _ => 0x7F };
        buffer[7] = (byte)(choice >> 4);
        return buffer.AsSpan(0, (choice % 5) switch { 0 => 6, 1 => 10, 2 => 16, 3 => 12, _ => buffer[7] + 8 });
    }

    private static bool DataEquals(SimulatedCommand command, ReadOnlySpan<byte> expected)
    {
        if (command.DataInLengthBytes != expected.Length) return false;
        var walker = new ScatterList.Walker(command.Data, 0, expected.Length);
        while (walker.MoveNext(out var piece))
        {
            if (!expected[..piece.Length].SequenceEqual(piece)) return false;
            expected = expected[piece.Length..];
        }

        return true;
    }

    private static bool Count(bool submitted, ref long count)
    {
        if (submitted) count++;
        return submitted;
    }

    private static long Tag(Kind kind, int a, int b) => (long)kind << 56 | (long)a << 24 | (uint)b;
}
