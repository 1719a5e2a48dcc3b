using Gateway.Simulation.Scenario;
using Xunit;

namespace Gateway.Simulation;

/// <summary>What the simulation must show in every build: seeds pass, and are repeatable.</summary>
public class SimulationTests
{
    private const int Seeds = 1000;
    private const int SeedsPerTest = 100;

    public static TheoryData<int> FirstSeeds => [.. Enumerable.Range(0, Seeds / SeedsPerTest).Select(i => 1 + (i * SeedsPerTest))];

    /// <summary>A failure names its seed: 'make soak SEED=n' replays it with its trace.</summary>
    [Theory, MemberData(nameof(FirstSeeds))]
    public void Volume_AnySeed_KeepsItsPromises(int first)
    {
        for (var seed = first; seed < first + SeedsPerTest; seed++) SeedRun.Run(seed);
    }

    [Fact]
    public void Seed_RunAgain_HasTheSameHistory()
    {
        for (var seed = 1; seed <= 20; seed++) Assert.Equal(SeedRun.Run(seed), SeedRun.Run(seed, isTracing: true));
    }
}
