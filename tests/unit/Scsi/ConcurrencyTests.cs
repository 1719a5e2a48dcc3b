namespace Gateway.Scsi.Tests;

/// <summary>Commands of one unit at the same time: each has its own scratch memory and its own answer.</summary>
public sealed class ConcurrencyTests
{
    private const int Initiators = 64;
    private const int Rounds = 200;

    [Fact]
    public async Task Commands_AtTheSameTime_DoNotMixTheirData()
    {
        var world = new UnitWorld(capacityBlocks: Initiators * 8) { Device = { CompleteAsynchronously = true } };

        await Task.WhenAll(Enumerable.Range(0, Initiators).Select(i => Task.Run(() => RunAsync(world.Unit, i))));
    }

    /// <summary>Works on eight blocks of its own, by commands that use scratch memory.</summary>
    private static async Task RunAsync(LogicalUnit unit, int initiator)
    {
        var random = new Random(initiator);
        var lba = (ulong)initiator * 8;
        var command = new ScsiCommand();
        var pattern = new byte[512];
        using var block = new GuardedData(512, 100);
        using var part = new GuardedData(1300, 7, 500);
        for (var round = 0; round < Rounds; round++)
        {
            random.NextBytes(pattern);
            block.Set(pattern);
            await SendAsync(Cdbs.Block(0x93, lba, 8), block);
            await SendAsync(Cdbs.Block(0x8F, lba, 8, 0x06), block);
            await SendAsync(Cdbs.Block(0x88, lba, 8), part);
            byte[] expected = [.. pattern, .. pattern, .. pattern[..276]];
            Assert.Equal(expected, part.ToArray());
        }

        async Task SendAsync(byte[] cdb, GuardedData data)
        {
            command.Begin(cdb);
            data.AddTo(command.Data);
            await unit.ExecuteAsync(command, CancellationToken.None);
            Assert.Equal((ScsiStatus.Good, SenseData.None), (command.Status, command.Sense));
        }
    }
}
