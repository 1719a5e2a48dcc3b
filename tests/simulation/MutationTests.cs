using System.Globalization;
using Gateway.Volumes;
using Xunit;

namespace Gateway.Simulation;

/// <summary>Shows that the simulation would find bugs: each of those that this build of the engine can switch on.</summary>
public class MutationTests
{
    /// <summary>Seeds within which every mutation must be found.</summary>
    private const int SeedsMax = 2000;

    public static TheoryData<string> Mutations => [.. Mutation.All];

    [Theory, MemberData(nameof(Mutations))]
    public void Mutation_SwitchedOn_IsFound(string mutation)
    {
        var seed = Soak.FirstToFind(mutation, SeedsMax, out var what);

        Assert.True(seed is not null, string.Create(CultureInfo.InvariantCulture, $"No seed up to {SeedsMax} finds the mutation {mutation}."));
        Console.WriteLine($"{mutation}: found by seed {seed}. {what}");
    }
}
