using System.Globalization;
using Gateway.Simulation.Scenario;
using Gateway.Simulation.Scheduling;
using Gateway.Volumes;

namespace Gateway.Simulation;

/// <summary>Runs seeds one after the other and tells people how it goes.</summary>
internal static class Soak
{
    /// <summary>Failures after which a run ends: more of them seldom say more.</summary>
    private const int FailuresMax = 10;

    private static readonly TimeSpan ReportEvery = TimeSpan.FromSeconds(30);

    /// <returns>0 if every seed passed.</returns>
    public static int Run(int count, TimeSpan time, int first)
    {
        var start = TimeProvider.System.GetTimestamp();
        var (failures, reported) = (0, TimeSpan.Zero);
        var seed = first;
        for (; seed - first < count && failures < FailuresMax; seed++)
        {
            var elapsed = TimeProvider.System.GetElapsedTime(start);
            if (time != Timeout.InfiniteTimeSpan && elapsed >= time) break;
            if (elapsed - reported >= ReportEvery)
            {
                reported = elapsed;
                Print($"{seed - first} seeds in {elapsed.TotalSeconds:F0} s, {failures} failed");
            }

            try
            {
                SeedRun.Run(seed);
            }
            catch (SimulationException e)
            {
                failures++;
                Print(e.Message);
            }
        }

        var total = TimeProvider.System.GetElapsedTime(start);
        Print($"{seed - first} seeds from {first} on in {total.TotalSeconds:F1} s ({total.TotalMilliseconds / Math.Max(1, seed - first):F1} ms each), {failures} failed");
        return failures == 0 ? 0 : 1;
    }

    /// <summary>Runs one seed and prints its trace if it fails.</summary>
    public static int Replay(int seed, string? mutation)
    {
        Mutation.Active = mutation;
        try
        {
            Print($"Seed {seed} passed; the hash of its history is {SeedRun.Run(seed, isTracing: true):x16}.");
            return 0;
        }
        catch (SimulationException e)
        {
            Print(e.Message);
            return 1;
        }
    }

    /// <summary>Runs seeds against a deliberate bug until one of them finds it.</summary>
    /// <returns>0 if it was found.</returns>
    public static int Mutate(string name, int count)
    {
        foreach (var mutation in name == "all" ? Mutation.All : [name])
        {
            var found = FirstToFind(mutation, count, out var what);
            Print(found is null ? $"{mutation}: NOT found within {count} seeds" : $"{mutation}: found by seed {found}. {what}");
            if (found is null) return 1;
        }

        return 0;
    }

    /// <summary>The first seed that fails with a mutation; null if none of <paramref name="count"/> does.</summary>
    public static int? FirstToFind(string mutation, int count, out string what)
    {
        Mutation.Active = mutation;
        try
        {
            for (var seed = 1; seed <= count; seed++)
            {
                try
                {
                    SeedRun.Run(seed);
                }
                catch (SimulationException e)
                {
                    what = e.Message;
                    return seed;
                }
            }

            what = "";
            return null;
        }
        finally
        {
            Mutation.Active = null;
        }
    }

    private static void Print(FormattableString line) => Console.WriteLine(line.ToString(CultureInfo.InvariantCulture));

    private static void Print(string line) => Console.WriteLine(line);
}
