namespace Gateway.Backends.Resilience;

/// <summary>Counts attempts and failures of the last while, in ten slots. Not thread safe.</summary>
internal sealed class FailureWindow(TimeSpan length)
{
    private const int Slots = 10;

    private readonly (long Number, int Attempts, int Failures)[] _slots = new (long, int, int)[Slots];
    private readonly long _slotTicks = length.Ticks / Slots;

    /// <param name="now">Time since some fixed moment; never less than before.</param>
    /// <param name="failed">Whether the attempt failed.</param>
    public void Add(TimeSpan now, bool failed)
    {
        var number = now.Ticks / _slotTicks;
        ref var slot = ref _slots[number % Slots];
        if (slot.Number != number) slot = (number, 0, 0);
        slot.Attempts++;
        if (failed) slot.Failures++;
    }

    public (int Attempts, int Failures) Sum(TimeSpan now)
    {
        var oldest = (now.Ticks / _slotTicks) - Slots + 1;
        var (attempts, failures) = (0, 0);
        foreach (var slot in _slots)
        {
            if (slot.Number < oldest) continue;
            attempts += slot.Attempts;
            failures += slot.Failures;
        }

        return (attempts, failures);
    }

    public void Clear() => Array.Clear(_slots);
}
