using System.Collections.Concurrent;
using Gateway.Scsi;

namespace Gateway.Tcmu.Tests.Ring;

/// <summary>Holds every command until the test lets it go.</summary>
internal sealed class HeldTarget : IScsiTarget
{
    private readonly SemaphoreSlim _arrived = new(0);

    public ConcurrentQueue<(ScsiCommand Command, TaskCompletionSource Done, CancellationToken Token)> Held { get; } = [];

    public ValueTask ExecuteAsync(ScsiCommand command, CancellationToken cancellationToken)
    {
        var done = new TaskCompletionSource();
        Held.Enqueue((command, done, cancellationToken));
        _arrived.Release();
        return new ValueTask(done.Task);
    }

    public async Task WaitForAsync(int count)
    {
        for (var i = 0; i < count; i++)
            if (!await _arrived.WaitAsync(10_000)) throw new TimeoutException($"Only {i} of {count} commands arrived.");
    }
}
