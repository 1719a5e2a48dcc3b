namespace Gateway.Tests.Shared;

/// <summary>Counts what code allocates once it is warm.</summary>
public static class Allocations
{
    /// <summary>Until the runtime has replaced its first, unoptimized code, which on a busy machine takes a while, boxes come and go.</summary>
    private const int RoundsMax = 50;

    /// <summary>Bytes that <paramref name="action"/> allocates on this thread: the least of several runs, since only the runtime's own work varies.</summary>
    public static long Least(Action action)
    {
        var least = long.MaxValue;
        for (var round = 0; round < RoundsMax && least > 0; round++)
        {
            var before = GC.GetAllocatedBytesForCurrentThread();
            action();
            least = Math.Min(least, GC.GetAllocatedBytesForCurrentThread() - before);
        }

        return least;
    }
}
