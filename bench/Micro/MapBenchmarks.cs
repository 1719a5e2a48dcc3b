using BenchmarkDotNet.Attributes;
using Gateway.Volumes.Map;

namespace Gateway.Microbenchmarks;

/// <summary>What does a look-up, and a random single-block change, cost in a map of a fully shredded gigabyte?</summary>
[MemoryDiagnoser]
public class MapBenchmarks
{
    private const int Blocks = 1 << 18;

    private readonly ExtentMap<JournalLocation> _map = new(Blocks, 4096);
    private uint _next;

    [GlobalSetup]
    public void SetUp()
    {
        for (ulong lba = 0; lba < Blocks; lba++) _map.Set(lba, 1, Location((long)lba));
    }

    [Benchmark(Baseline = true)]
    public bool Find() => _map.TryFind(NextLba(), 1, out _, out _);

    [Benchmark]
    public void Set() => _map.Set(NextLba(), 1, Location(_next));

    private ulong NextLba()
    {
        _next = (_next * 1_664_525) + 1_013_904_223;
        return _next >> 14;
    }

    private static JournalLocation Location(long write) => new(write, write * 3 * 4096, 0, 1, 0);
}
