using Gateway.Tcmu.Interop;

namespace Gateway.Tcmu;

/// <summary>Brings finished commands from any thread to the device's thread, and wakes it if it sleeps. Lock-free, no allocation.</summary>
/// <remarks>
/// Producers push onto a linked stack by compare-and-swap; the one consumer takes the whole stack at once, so a node cannot come back
/// between a read and a swap (no ABA). It holds at most what is in flight.
/// Waking is Dekker's pattern: a producer pushes, then reads _asleep; the consumer sets _asleep, then looks at the stack. The interlocked
/// operation between the two steps on either side is a full barrier, so at least one of them sees the other.
/// </remarks>
internal sealed class CompletionStack(EventSignal wake)
{
    private RingCommand? _top;
    private int _asleep;

    public bool IsEmpty => Volatile.Read(ref _top) is null;

    /// <summary>Any thread: true if the consumer sleeps, or is about to.</summary>
    public bool IsAsleep => Volatile.Read(ref _asleep) != 0;

    /// <summary>Any thread: queues a finished command.</summary>
    public void Push(RingCommand command)
    {
        var top = Volatile.Read(ref _top);
        while (true)
        {
            command.Next = top;
            var seen = Interlocked.CompareExchange(ref _top, command, top);
            if (ReferenceEquals(seen, top)) break;
            top = seen;
        }

        Wake();
    }

    /// <summary>Any thread: ends the consumer's sleep, or its next one. Signals only if it sleeps; call after what it should see was stored.</summary>
    public void Wake()
    {
        if (Volatile.Read(ref _asleep) == 0 || Interlocked.Exchange(ref _asleep, 0) == 0) return;
        try
        {
            wake.Set();
        }
        catch (ObjectDisposedException)
        {
            // The consumer noticed on its last look before sleeping, answered the last command and ended.
        }
    }

    /// <summary>Consumer: takes everything, oldest first, linked by <see cref="RingCommand.Next"/>.</summary>
    public RingCommand? TakeAll()
    {
        if (IsEmpty) return null;
        RingCommand? oldest = null;
        var command = Interlocked.Exchange(ref _top, null);
        while (command is not null)
        {
            var next = command.Next;
            command.Next = oldest;
            (oldest, command) = (command, next);
        }

        return oldest;
    }

    /// <summary>Consumer: announces that it will sleep. It must look for work once more between this and sleeping.</summary>
    public void BeginSleep() => Interlocked.Exchange(ref _asleep, 1);

    /// <summary>Consumer: is awake again.</summary>
    public void EndSleep() => Volatile.Write(ref _asleep, 0);
}
