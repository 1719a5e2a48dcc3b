using System.Threading.Tasks.Sources;
using Gateway.Scsi.Interop;
using Gateway.Tests.Shared;

namespace Gateway.Scsi.Tests;

/// <summary>READ and WRITE that wait for their device allocate nothing either, if the device does not: their state machines are pooled.</summary>
[Collection(AllocationTests.Alone)]
public sealed class AsyncAllocationTests
{
    [Theory]
    [InlineData(0x28)]
    [InlineData(0x2A)]
    [InlineData(0x88)]
    [InlineData(0x8A)]
    public void Execute_SuspendingDevice_AllocatesNothing(byte operationCode)
    {
        SynchronizationContext.SetSynchronizationContext(null); // The test runner's would take the continuations elsewhere.
        var device = new SuspendingDevice();
        var unit = new LogicalUnit(device, new LogicalUnitOptions());
        var command = new ScsiCommand();
        using var memory = new NativeBuffer(4096);
        var cdb = Cdbs.Block(operationCode, 0, 8);
        Run(10_000);

        var allocated = Allocations.Least(() => Run(1_000));

        Assert.Equal(ScsiStatus.Good, command.Status);
#if !DEBUG
        Assert.Equal(0, allocated);
#else
        Assert.True(allocated >= 0);
#endif

        void Run(int commands)
        {
            for (var i = 0; i < commands; i++)
            {
                command.Begin(cdb);
                command.Data.Add(memory);
                Finish(unit.ExecuteAsync(command, CancellationToken.None));
            }
        }

        void Finish(ValueTask pending)
        {
            var completion = pending.GetAwaiter();
            Assert.False(completion.IsCompleted);
            device.Complete();
            Assert.True(completion.IsCompleted);
            completion.GetResult();
        }
    }

    /// <summary>One operation at a time, which ends when it is told to, on the thread that tells it.</summary>
    private sealed class SuspendingDevice : IBlockDevice, IValueTaskSource<BlockResult>
    {
        private ManualResetValueTaskSourceCore<BlockResult> _source;

        public BlockGeometry Geometry { get; } = new(Guid.Empty, 1024, 512, 4096);

        public BlockResult Readiness => BlockResult.Success;

        public void Complete() => _source.SetResult(BlockResult.Success);

        public ValueTask<BlockResult> ReadAsync(BlockRange range, ScatterList destination, CancellationToken cancellationToken) => Suspend();

        public ValueTask<BlockResult> WriteAsync(
            BlockRange range, ScatterList source, bool forceUnitAccess, CancellationToken cancellationToken) => Suspend();

        public ValueTask<BlockResult> ZeroAsync(BlockRange range, bool forceUnitAccess, CancellationToken cancellationToken) => Suspend();

        public ValueTask<BlockResult> FlushAsync(CancellationToken cancellationToken) => Suspend();

        public BlockResult GetResult(short token) => _source.GetResult(token);

        public ValueTaskSourceStatus GetStatus(short token) => _source.GetStatus(token);

        public void OnCompleted(Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags) =>
            _source.OnCompleted(continuation, state, token, flags);

        private ValueTask<BlockResult> Suspend()
        {
            _source.Reset();
            return new(this, _source.Version);
        }
    }
}
