using BenchmarkDotNet.Attributes;
using Gateway.Backends.Core;
using Gateway.Volumes.Formats;

namespace Gateway.Microbenchmarks;

/// <summary>What does the checksum of a block and of a whole frame cost, against copying it?</summary>
[MemoryDiagnoser]
public class ChecksumBenchmarks
{
    private byte[] _data = [];
    private byte[] _copy = [];

    [Params(4 << 10, 128 << 10)]
    public int LengthBytes { get; set; }

    [GlobalSetup]
    public void SetUp()
    {
        _data = new byte[LengthBytes];
        new Random(1).NextBytes(_data);
        _copy = new byte[LengthBytes];
    }

    [Benchmark(Baseline = true)]
    public void Copy() => _data.CopyTo(_copy, 0);

    [Benchmark]
    public uint Crc32CCompute() => Crc32C.Compute(_data);
}
