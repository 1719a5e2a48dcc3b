using System.Buffers.Binary;
using Gateway.Scsi;
using Gateway.Scsi.Interop;
using Gateway.Simulation.Scheduling;

namespace Gateway.Simulation.Scenario;

/// <summary>Reaches a block device as an initiator does: each operation becomes a CDB, now of one kind and now of another, and each answer comes back as status and sense data.</summary>
/// <remarks>A buffer is handed over in pieces, as the ring's data area does; now and then several commands come as one burst.</remarks>
internal sealed class ScsiPath(World world, IBlockDevice device, Random random) : IBlockDevice
{
    private const byte Read10 = 0x28, Read16 = 0x88, Write10 = 0x2A, Write16 = 0x8A, SynchronizeCache10 = 0x35, SynchronizeCache16 = 0x91;
    private const byte Unmap = 0x42, WriteSame10 = 0x41, WriteSame16 = 0x93;
    private const byte FuaBit = 0x08;
    private const byte UnmapBit = 0x08;
    private const byte NdobBit = 0x01;
    private const int PageBytes = 4096;

    private static readonly TimeSpan BurstMax = TimeSpan.FromMilliseconds(2);

    private readonly LogicalUnit _unit = new(device, new LogicalUnitOptions());
    private readonly Stack<ScsiCommand> _commands = new();
    private readonly bool _hasBursts = random.Next(3) == 0; // They leave fewer commands to meet a flush that is under way.
    private bool _inBurst;

    public BlockGeometry Geometry => device.Geometry;

    public BlockResult Readiness => device.Readiness;

    public ValueTask<BlockResult> ReadAsync(BlockRange range, ScatterList destination, CancellationToken cancellationToken) =>
        ExecuteAsync(Transfer(Read10, Read16, range, 0), InPieces(destination), cancellationToken);

    public ValueTask<BlockResult> WriteAsync(BlockRange range, ScatterList source, bool forceUnitAccess, CancellationToken cancellationToken) =>
        ExecuteAsync(Transfer(Write10, Write16, range, forceUnitAccess ? FuaBit : (byte)0), InPieces(source), cancellationToken);

    /// <summary>UNMAP or WRITE SAME. Neither has FUA: what asks for it goes to the device as it is.</summary>
    public async ValueTask<BlockResult> ZeroAsync(BlockRange range, bool forceUnitAccess, CancellationToken cancellationToken)
    {
        if (forceUnitAccess) return await device.ZeroAsync(range, true, cancellationToken);
        return random.Next(3) switch
        {
            0 => await UnmapAsync(range, cancellationToken),
            1 => await ExecuteAsync(Transfer(WriteSame16, WriteSame16, range, UnmapBit | NdobBit), null, cancellationToken),
            _ => await WriteSameAsync(range, cancellationToken),
        };
    }

    public ValueTask<BlockResult> FlushAsync(CancellationToken cancellationToken) =>
        ExecuteAsync(Transfer(SynchronizeCache10, SynchronizeCache16, default, 0), null, cancellationToken);

    private async ValueTask<BlockResult> UnmapAsync(BlockRange range, CancellationToken cancellationToken)
    {
        const int HeaderBytes = 8;
        const int DescriptorBytes = 16;
        const int ListBytes = HeaderBytes + DescriptorBytes;
        using var list = new NativeBuffer(ListBytes);
        BinaryPrimitives.WriteUInt16BigEndian(list.Span, ListBytes - 2);
        BinaryPrimitives.WriteUInt16BigEndian(list.Span[2..], DescriptorBytes);
        BinaryPrimitives.WriteUInt64BigEndian(list.Span[HeaderBytes..], range.Lba);
        BinaryPrimitives.WriteUInt32BigEndian(list.Span[(HeaderBytes + 8)..], range.Blocks);
        var cdb = new byte[10];
        cdb[0] = Unmap;
        BinaryPrimitives.WriteUInt16BigEndian(cdb.AsSpan(7), ListBytes);
        var data = new ScatterList();
        data.Add(list, ListBytes);
        return await ExecuteAsync(cdb, data, cancellationToken);
    }

    private async ValueTask<BlockResult> WriteSameAsync(BlockRange range, CancellationToken cancellationToken)
    {
        using var zeroes = new NativeBuffer(Geometry.BlockLengthBytes);
        var data = new ScatterList();
        data.Add(zeroes);
        return await ExecuteAsync(Transfer(WriteSame10, WriteSame16, range, random.Next(2) == 0 ? UnmapBit : (byte)0), data, cancellationToken);
    }

    /// <summary>A CDB of 10 or of 16 bytes with address and length (SBC-4 5.2).</summary>
    private byte[] Transfer(byte ten, byte sixteen, BlockRange range, byte flags)
    {
        var isLong = ten == sixteen || random.Next(2) == 0;
        var cdb = new byte[isLong ? 16 : 10];
        cdb[0] = isLong ? sixteen : ten;
        cdb[1] = flags;
        if (isLong)
        {
            BinaryPrimitives.WriteUInt64BigEndian(cdb.AsSpan(2), range.Lba);
            BinaryPrimitives.WriteUInt32BigEndian(cdb.AsSpan(10), range.Blocks);
        }
        else
        {
            BinaryPrimitives.WriteUInt32BigEndian(cdb.AsSpan(2), (uint)range.Lba);
            BinaryPrimitives.WriteUInt16BigEndian(cdb.AsSpan(7), (ushort)range.Blocks);
        }

        return cdb;
    }

    private ScatterList InPieces(ScatterList whole)
    {
        if (random.Next(2) == 0) return whole;
        var pieces = new ScatterList();
        for (var at = 0; at < whole.LengthBytes;)
        {
            var length = Math.Min(whole.LengthBytes - at, random.Next(4) == 0 ? random.Next(1, PageBytes) : PageBytes * random.Next(1, 4));
            pieces.AddSlice(whole, at, length);
            at += length;
        }

        return pieces;
    }

    private async ValueTask<BlockResult> ExecuteAsync(byte[] cdb, ScatterList? data, CancellationToken cancellationToken)
    {
        var command = _commands.TryPop(out var used) ? used : new ScsiCommand();
        command.Begin(cdb);
        if (data is not null) command.Data.AddSlice(data, 0, data.LengthBytes);
        if (_hasBursts && !_inBurst && random.Next(6) == 0) _ = RunBurstAsync();
        await _unit.ExecuteAsync(command, cancellationToken);
        var result = Result(command);
        _commands.Push(command);
        return result;
    }

    /// <summary>What comes until it ends comes together.</summary>
    private async Task RunBurstAsync()
    {
        _inBurst = true;
        _unit.BeginBurst();
        await world.DelayAsync(BurstMax * random.NextDouble());
        _unit.EndBurst();
        _inBurst = false;
    }

    private BlockResult Result(ScsiCommand command)
    {
        switch (command.Status)
        {
            case ScsiStatus.Good:
                return BlockResult.Success;
            case ScsiStatus.TaskAborted:
                return BlockError.Aborted;
        }

        foreach (var error in Enum.GetValues<BlockError>())
            if (error is not (BlockError.None or BlockError.Aborted) && SenseMapping.ToSense(new BlockResult(error, command.Sense.Information)) == command.Sense)
                return new BlockResult(error, command.Sense.Information);
        world.Fail($"A command of operation code {command.Cdb[0]:X2}h ended with status {command.Status} and sense {command.Sense}, which no command sent here should.");
        return BlockError.Offline;
    }
}
