using BenchmarkDotNet.Attributes;
using Gateway.Scsi;
using Gateway.Scsi.Interop;

namespace Gateway.Microbenchmarks;

/// <summary>What does a command cost from its CDB to its status, the device's own work left out, and how much of that is decoding?</summary>
[MemoryDiagnoser]
public class CommandBenchmarks
{
    private readonly byte[] _read10 = [0x28, 0, 0, 0, 0x10, 0, 0, 0, 1, 0];
    private readonly LogicalUnit _unit = new(new IdleDevice(), new LogicalUnitOptions());
    private readonly ScsiCommand _command = new();
    private readonly NativeBuffer _buffer = new(4096);

    [Benchmark(Baseline = true)]
    public ulong Decode() => BlockCdb.Decode(_read10).Range.Lba;

    [Benchmark]
    public ScsiStatus Execute()
    {
        _command.Begin(_read10);
        _command.Data.Add(_buffer);
        var execution = _unit.ExecuteAsync(_command, CancellationToken.None);
        if (!execution.IsCompletedSuccessfully) throw new InvalidOperationException("The device answers at once.");
        return _command.Status;
    }

    private sealed class IdleDevice : IBlockDevice
    {
        public BlockGeometry Geometry { get; } = new(Guid.Empty, 1 << 20, 4096, 4096);

        public BlockResult Readiness => BlockResult.Success;

        public ValueTask<BlockResult> ReadAsync(BlockRange range, ScatterList destination, CancellationToken cancellationToken) => new(BlockResult.Success);

        public ValueTask<BlockResult> WriteAsync(BlockRange range, ScatterList source, bool forceUnitAccess, CancellationToken cancellationToken) => new(BlockResult.Success);

        public ValueTask<BlockResult> ZeroAsync(BlockRange range, bool forceUnitAccess, CancellationToken cancellationToken) => new(BlockResult.Success);

        public ValueTask<BlockResult> FlushAsync(CancellationToken cancellationToken) => new(BlockResult.Success);
    }
}
