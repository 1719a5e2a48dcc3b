using System.Runtime.CompilerServices;
using Gateway.Diagnostics;
using Gateway.Scsi;

namespace Gateway.Tcmu;

/// <summary>A command in flight on one device. Reused, with its continuation, so that nothing is allocated per command.</summary>
internal sealed class RingCommand
{
    private readonly CompletionStack _completed;

    public RingCommand(CompletionStack completed)
    {
        _completed = completed;
        Continuation = OnCompleted;
    }

    public ScsiCommand Scsi { get; } = new();

    public ushort CmdId { get; set; }

    /// <summary>When it was taken off the ring, by the device's clock.</summary>
    public long TakenAt { get; set; }

    /// <summary>What it waits for on its way.</summary>
    public CommandTrace Trace { get; } = new();

    /// <summary>Cancels the present execution. Kept for the next ones until it has been cancelled: a command costs none of its own.</summary>
    public CancellationTokenSource Cancellation { get; private set; } = new();

    /// <summary>The pending execution. Its result is taken once, by the device's thread.</summary>
    public ValueTaskAwaiter Awaiter { get; set; }

    /// <summary>Runs wherever the execution completes; only queues this command.</summary>
    public Action Continuation { get; }

    /// <summary>Link of <see cref="CompletionStack"/>.</summary>
    internal RingCommand? Next { get; set; }

    /// <summary>Readies the command for its next life, which a cancellation of this one does not reach.</summary>
    public void Renew()
    {
        if (Cancellation.IsCancellationRequested) Cancellation = new CancellationTokenSource();
    }

    private void OnCompleted() => _completed.Push(this);
}
