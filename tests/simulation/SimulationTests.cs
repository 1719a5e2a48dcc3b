using System.Globalization;
using Gateway.Simulation.Scenario;
using Gateway.Simulation.Scheduling;
using Gateway.Volumes;
using Xunit;

namespace Gateway.Simulation;

/// <summary>What the simulation must show in every build: seeds pass, they are repeatable, and bugs would be found.</summary>
public class SimulationTests
{
    private const int Seeds = 1000;
    private const int SeedsPerTest = 100;

    /// <summary>Seeds within which every mutation must be found.</summary>
    private const int MutationSeedsMax = 2000;

    public static TheoryData<int> FirstSeeds => [.. Enumerable.Range(0, Seeds / SeedsPerTest).Select(i => 1 + (i * SeedsPerTest))];

    public static TheoryData<string> Mutations => [.. Mutation.All];

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

    [Theory, MemberData(nameof(Mutations))]
    public void Mutation_SwitchedOn_IsFound(string mutation)
    {
        var seed = Soak.FirstToFind(mutation, MutationSeedsMax, out var what);

        Assert.True(seed is not null, string.Create(CultureInfo.InvariantCulture, $"No seed up to {MutationSeedsMax} finds the mutation {mutation}."));
        Console.WriteLine($"{mutation}: found by seed {seed}. {what}");
    }

}
