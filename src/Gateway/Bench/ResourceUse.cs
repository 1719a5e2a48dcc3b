using System.Globalization;

namespace Gateway.Bench;

/// <summary>What the process, and two of its threads, have used up to a moment.</summary>
/// <param name="Process">CPU time of all threads.</param>
/// <param name="Ring">CPU time of the ring's thread.</param>
/// <param name="Initiator">CPU time of the thread that plays the kernel and the initiator.</param>
/// <param name="AllocatedBytes">Allocated on the managed heap by all threads.</param>
/// <param name="Collections">Garbage collections.</param>
internal readonly record struct ResourceUse(TimeSpan Process, TimeSpan Ring, TimeSpan Initiator, long AllocatedBytes, int Collections)
{
    public const string RingThread = "bench-ring";
    public const string InitiatorThread = "bench-initiator";

    /// <summary>All of it now. What the look itself allocates comes after the count of a start and before that of an end.</summary>
    public static ResourceUse Start()
    {
        var use = Look();
        return use with { AllocatedBytes = GC.GetTotalAllocatedBytes(precise: true) };
    }

    /// <inheritdoc cref="Start"/>
    public static ResourceUse End()
    {
        var allocated = GC.GetTotalAllocatedBytes(precise: true);
        return Look() with { AllocatedBytes = allocated };
    }

    public static ResourceUse operator -(ResourceUse left, ResourceUse right) => new(
        left.Process - right.Process, left.Ring - right.Ring, left.Initiator - right.Initiator,
        left.AllocatedBytes - right.AllocatedBytes, left.Collections - right.Collections);

    private static ResourceUse Look()
    {
        var (ring, initiator) = (TimeSpan.Zero, TimeSpan.Zero);
        foreach (var task in Directory.EnumerateDirectories("/proc/self/task"))
        {
            var name = ReadFile($"{task}/comm").TrimEnd();
            if (name == RingThread) ring += ThreadTime(task);
            else if (name == InitiatorThread) initiator += ThreadTime(task);
        }

        return new ResourceUse(Environment.CpuUsage.TotalTime, ring, initiator, 0, GC.CollectionCount(0));
    }

    /// <summary>The first number of schedstat: time on a CPU, in nanoseconds.</summary>
    private static TimeSpan ThreadTime(string task) =>
        ReadFile($"{task}/schedstat").Split(' ') is [var nanoseconds, ..] && long.TryParse(nanoseconds, CultureInfo.InvariantCulture, out var value)
            ? TimeSpan.FromTicks(value / TimeSpan.NanosecondsPerTick)
            : TimeSpan.Zero;

    private static string ReadFile(string path)
    {
        try
        {
            return File.ReadAllText(path);
        }
        catch (IOException)
        {
            return ""; // The thread has ended.
        }
    }
}
