namespace Gateway.Scsi.Tests;

/// <summary>Random commands that change and read the medium, against a plain byte array.</summary>
public sealed class ModelTests
{
    private const int CapacityBlocks = 200;
    private const int BlockLength = 512;
    private const int Steps = 5_000;

    [Theory]
    [InlineData(11, false)]
    [InlineData(12, false)]
    [InlineData(13, true)]
    public async Task Commands_RandomOnes_AgreeWithModel(int seed, bool asynchronous)
    {
        var random = new Random(seed);
        var world = new UnitWorld(capacityBlocks: CapacityBlocks) { Device = { CompleteAsynchronously = asynchronous } };
        var model = new byte[CapacityBlocks * BlockLength];

        for (var step = 0; step < Steps; step++)
        {
            var lba = random.Next(CapacityBlocks);
            var blocks = random.Next(1, Math.Min(20, CapacityBlocks - lba) + 1);
            var range = model.AsMemory(lba * BlockLength, blocks * BlockLength);
            switch (random.Next(5))
            {
                case 0:
                    await WriteAsync(world, random, lba, blocks, range);
                    break;
                case 1:
                    await WriteSameAsync(world, random, lba, blocks, range);
                    break;
                case 2:
                    await world.SendAsync(Cdbs.Unmap(24), Cdbs.UnmapList(((ulong)lba, (uint)blocks)));
                    range.Span.Clear();
                    break;
                case 3:
                    await VerifyAsync(world, random, lba, blocks, range);
                    break;
                default:
                    await ReadAsync(world, random, lba, blocks, range);
                    break;
            }

            Assert.True(world.Command.Status == ScsiStatus.Good, $"Seed {seed}, step {step}: {world.Command.Sense}");
        }

        Assert.Equal(model, world.Device.Bytes.ToArray());
    }

    private static async Task WriteAsync(UnitWorld world, Random random, int lba, int blocks, Memory<byte> range)
    {
        random.NextBytes(range.Span);
        await world.SendAsync(Cdbs.Block(Pick(random, 0x0A, 0x2A, 0xAA, 0x8A), (ulong)lba, (uint)blocks), range.ToArray());
    }

    private static async Task WriteSameAsync(UnitWorld world, Random random, int lba, int blocks, Memory<byte> range)
    {
        var pattern = new byte[BlockLength];
        if (random.Next(2) == 0) pattern[random.Next(BlockLength)] = (byte)random.Next(256);
        for (var at = 0; at < range.Length; at += BlockLength) pattern.CopyTo(range[at..]);
        await world.SendAsync(Cdbs.Block(Pick(random, 0x41, 0x93), (ulong)lba, (uint)blocks, Pick(random, 0, 8)), pattern);
    }

    private static Task VerifyAsync(UnitWorld world, Random random, int lba, int blocks, Memory<byte> range) =>
        world.SendAsync(Cdbs.Block(Pick(random, 0x2F, 0xAF, 0x8F), (ulong)lba, (uint)blocks, 2), range.ToArray());

    private static async Task ReadAsync(UnitWorld world, Random random, int lba, int blocks, Memory<byte> range)
    {
        var bufferLength = random.Next(2) == 0 ? range.Length : random.Next(range.Length + 1000);
        var cdb = Cdbs.Block(Pick(random, 0x08, 0x28, 0xA8, 0x88), (ulong)lba, (uint)blocks);

        var data = await world.ReceiveAsync(cdb, bufferLength, random.Next(1, 600), random.Next(1, 3000));

        var filled = Math.Min(bufferLength, range.Length);
        Assert.Equal(filled, world.Command.DataInLengthBytes);
        Assert.True(range.Span[..filled].SequenceEqual(data.AsSpan(0, filled)));
    }

    private static byte Pick(Random random, params byte[] choices) => choices[random.Next(choices.Length)];
}
