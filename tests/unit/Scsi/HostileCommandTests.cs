namespace Gateway.Scsi.Tests;

/// <summary>Random CDBs, parameter lists and buffer lengths. The device checks its contract; the buffers' guards check the rest.</summary>
public sealed class HostileCommandTests
{
    private const int CommandsPerSeed = 100_000;
    private const int BufferLengthMax = 12_000;

    [Theory]
    [InlineData(1, false)]
    [InlineData(2, false)]
    [InlineData(3, false)]
    [InlineData(4, true)]
    public async Task ExecuteAsync_RandomCommands_ValidAnswerAndNothingElseTouched(int seed, bool asynchronous)
    {
        var random = new Random(seed);
        var world = new UnitWorld(capacityBlocks: 64, blockLengthBytes: seed == 3 ? 4096 : 512)
        {
            Device = { CompleteAsynchronously = asynchronous },
        };
        var buffers = Buffers(random);
        var command = world.Command;

        for (var i = 0; i < CommandsPerSeed; i++)
        {
            var cdb = NextCdb(random);
            var buffer = buffers[random.Next(buffers.Length)];
            if (random.Next(2) == 0) buffer.Set(NextList(random, buffer.LengthBytes));
            if (random.Next(50) == 0) world.Unit.RaiseUnitAttention((UnitAttention)random.Next(4));
            world.Device.Failure = random.Next(20) == 0 ? new((BlockError)random.Next(1, 11), (ulong)random.NextInt64()) : BlockResult.Success;
            world.Device.Readiness = random.Next(20) == 0 ? (BlockError)random.Next(1, 11) : BlockResult.Success;

            var changes = world.Device.Writes + world.Device.Zeroes;
            command.Begin(cdb);
            buffer.AddTo(command.Data);
            await world.Unit.ExecuteAsync(command, CancellationToken.None);

            AssertAnswer(command, $"Seed {seed}, command {i}: {Convert.ToHexString(cdb)} with {buffer.LengthBytes} bytes");
            if (command.Sense.Key is SenseKey.IllegalRequest or SenseKey.UnitAttention)
                Assert.Equal(changes, world.Device.Writes + world.Device.Zeroes);
            if (i % 64 == 0) Assert.All(buffers, b => Assert.True(b.GuardsIntact()));
        }

        Assert.All(buffers, b => Assert.True(b.GuardsIntact()));
        foreach (var buffer in buffers) buffer.Dispose();
    }

    private static void AssertAnswer(ScsiCommand command, string context)
    {
        Assert.True(command.Status is ScsiStatus.Good or ScsiStatus.CheckCondition or ScsiStatus.TaskAborted, context);
        Assert.True(command.DataInLengthBytes is null || command.DataInLengthBytes <= command.Data.LengthBytes, context);
        Assert.Equal(command.Status == ScsiStatus.CheckCondition, command.Sense != SenseData.None);
        if (command.Status != ScsiStatus.CheckCondition) return;

        var sense = command.Sense;
        Assert.True(Enum.IsDefined(sense.Key) && sense.Key != SenseKey.NoSense && sense.Asc != 0, context);
        if (sense.FieldPointer is { } pointer && !sense.FieldInData) Assert.True(pointer < command.Cdb.Length, context);
        if (sense.FieldPointer is { } listPointer && sense.FieldInData) Assert.True(listPointer < command.Data.LengthBytes, context);
        Assert.True(sense.FieldBit is null or < 8, context);
        Assert.True(sense.Asc is not (0x24 or 0x26) || sense.FieldPointer is not null, context);
    }

    /// <summary>Half of them are commands of the unit with plausible fields, or few would get past the first check.</summary>
    private static byte[] NextCdb(Random random)
    {
        var cdb = new byte[random.Next(10) == 0 ? random.Next(0, 32) : 16];
        random.NextBytes(cdb);
        if (cdb.Length == 0 || random.Next(4) == 0) return cdb;

        var command = CommandTable.All[random.Next(CommandTable.All.Length)];
        if (random.Next(10) != 0) cdb = cdb.Length < command.CdbLengthBytes ? new byte[command.CdbLengthBytes] : cdb[..command.CdbLengthBytes];
        cdb[0] = command.OperationCode;
        if (random.Next(2) == 0)
        {
            // Small numbers where the LBA and the length are, and few flags.
            for (var i = 1; i < cdb.Length; i++) cdb[i] = random.Next(3) == 0 ? (byte)random.Next(70) : (byte)0;
            if (cdb.Length > 1) cdb[1] = (byte)(1 << random.Next(10));
        }

        if (command.ServiceAction is { } action && cdb.Length > 1 && random.Next(10) != 0) cdb[1] = (byte)action;
        if (cdb.Length >= command.CdbLengthBytes && random.Next(20) != 0) cdb[command.ControlByte] = 0;
        return cdb;
    }

    /// <summary>Noise, an UNMAP list, or mode parameters; the lists with a byte changed now and then.</summary>
    private static byte[] NextList(Random random, int lengthBytes)
    {
        var list = random.Next(4) switch
        {
            0 => Cdbs.UnmapList([.. Enumerable.Range(0, random.Next(20)).Select(_ => ((ulong)random.Next(70), (uint)random.Next(5)))]),
            1 => Cdbs.Hex("00 00 00 00 08 12 04 00 00000000 00000000 00000000 00000000"),
            2 => Cdbs.Hex("0000 00 00 00 00 0000 0A 0A 02 10 00 40 00 00 FFFF 0000 08 12 00 00 00000000 00000000 00000000 00000000"),
            _ => new byte[lengthBytes],
        };
        if (random.Next(3) == 0 && list.Length > 0) list[random.Next(list.Length)] = (byte)random.Next(256);
        if (random.Next(8) == 0) random.NextBytes(list);
        return list.Length > lengthBytes ? list[..lengthBytes] : list;
    }

    private static GuardedData[] Buffers(Random random)
    {
        int[] lengths = [0, 0, 1, 4, 7, 8, 24, 28, 40, 56, 100, 511, 512, 513, 1024, 4095, 4096, 4097, 8192, 10 * 512, 255, 65, 2048, 10_000];
        return [.. lengths.Select(length => new GuardedData(length, random.Next(1, 700), random.Next(1, 9), random.Next(1, 5000))),
            .. Enumerable.Range(0, 16).Select(_ => new GuardedData(random.Next(BufferLengthMax), random.Next(1, 3000)))];
    }
}
