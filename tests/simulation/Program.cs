using System.Globalization;
using Gateway.Simulation.Scheduling;
using Gateway.Volumes;

namespace Gateway.Simulation;

/// <summary>
/// Runs seeds: <c>soak SECONDS [FIRST]</c> as many as fit into the time; <c>seeds COUNT [FIRST]</c> so many; <c>replay SEED</c> one, with its
/// trace; <c>mutation NAME [COUNT]</c> seeds against a deliberate bug until one finds it. Ends with 1 after a failure.
/// </summary>
internal static class Program
{
    public static int Main(string[] args)
    {
        if (args is not [var command, ..])
        {
            Console.Error.WriteLine("Use: soak SECONDS [FIRST] | seeds COUNT [FIRST] | replay SEED | mutation NAME [COUNT].");
            return 2;
        }

        var numbers = args.Skip(1).Select(a => int.TryParse(a, NumberStyles.None, CultureInfo.InvariantCulture, out var n) ? n : -1).ToArray();
        return command switch
        {
            "soak" => Soak.Run(int.MaxValue, TimeSpan.FromSeconds(numbers[0]), numbers.ElementAtOrDefault(1) is > 0 and var first ? first : 1),
            "seeds" => Soak.Run(numbers[0], Timeout.InfiniteTimeSpan, numbers.ElementAtOrDefault(1) is > 0 and var first ? first : 1),
            "replay" => Soak.Replay(numbers[0], args.ElementAtOrDefault(2)),
            "mutation" => Soak.Mutate(args[1], numbers.ElementAtOrDefault(1) is > 0 and var count ? count : 2000),
            _ => 2,
        };
    }
}
