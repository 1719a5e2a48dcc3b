using Gateway.Scsi.Interop;
using Gateway.Tests.Shared;

namespace Gateway.Scsi.Tests;

/// <summary>What completes synchronously allocates nothing. Only in optimized builds: elsewhere async methods are classes.</summary>
[Collection(Alone)]
public sealed class AllocationTests
{
    /// <summary>Other tests would empty the pool of scratch memory meanwhile.</summary>
    public const string Alone = "Counts allocations";

    [CollectionDefinition(Alone, DisableParallelization = true)]
    public sealed class AloneDefinition;

    [Theory]
    [InlineData(0x28, 0)]
    [InlineData(0x88, 0)]
    [InlineData(0x28, 8)] // FUA.
    [InlineData(0x2A, 0)]
    [InlineData(0x8A, 0)]
    [InlineData(0x2A, 8)]
    [InlineData(0x35, 0)]
    [InlineData(0x2F, 2)]
    [InlineData(0x28, 0, 4096 + 100)] // A partial read takes scratch memory from the pool.
    [InlineData(0x28, 0, 4096 - 100)]
    [InlineData(0x28, 0, 100)]
    [InlineData(0x12, 0)]
    public void Execute_SynchronousDevice_AllocatesNothing(byte operationCode, byte flags, int dataLength = 4096)
    {
        var world = new UnitWorld();
        using var memory = new NativeBuffer(8192);
        var cdb = operationCode == 0x12 ? Cdbs.Inquiry(0x83) : Cdbs.Block(operationCode, 16, 8, flags);
        for (var i = 0; i < 10_000; i++) Execute();

        var allocated = Allocations.Least(() =>
        {
            for (var i = 0; i < 1_000; i++) Execute();
        });

        Assert.Equal(ScsiStatus.Good, world.Command.Status);
#if !DEBUG
        Assert.Equal(0, allocated);
#else
        Assert.True(allocated >= 0);
#endif

        void Execute()
        {
            world.Command.Begin(cdb);
            world.Command.Data.Add(memory, dataLength);
            Assert.True(world.Unit.ExecuteAsync(world.Command, CancellationToken.None).AsTask().IsCompletedSuccessfully);
        }
    }
}
