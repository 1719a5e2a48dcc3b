using System.Runtime.CompilerServices;
using System.Threading.Tasks.Sources;

namespace Gateway.Scsi;

/// <summary>The rest of a command that waits for its device: answers it with the device's result. One for each command object, used again.</summary>
/// <remarks>In place of an async method: of their state machines the runtime keeps two or three for reuse, and a ring has many commands in flight.</remarks>
internal sealed class PendingCommand : IValueTaskSource
{
    private readonly ScsiCommand _command;
    private readonly Action _finish;
    private ManualResetValueTaskSourceCore<bool> _core;
    private ValueTaskAwaiter<BlockResult> _operation;
    private int? _dataInLengthBytes;

    public PendingCommand(ScsiCommand command)
    {
        _command = command;
        _finish = Finish;
    }

    /// <summary>Completes, with the command answered, when the operation does.</summary>
    /// <param name="operation">What the device does.</param>
    /// <param name="dataInLengthBytes">What it places in the command's buffer; null: it does not read.</param>
    public ValueTask CompleteAsync(ValueTask<BlockResult> operation, int? dataInLengthBytes = null)
    {
        _core.Reset();
        var completion = new ValueTask(this, _core.Version);
        _dataInLengthBytes = dataInLengthBytes;
        _operation = operation.GetAwaiter();
        _operation.UnsafeOnCompleted(_finish); // May run it at once.
        return completion;
    }

    /// <summary>Answers a command whose operation has ended.</summary>
    public static void Answer(ScsiCommand command, BlockResult result, int? dataInLengthBytes = null)
    {
        if (result.IsSuccess && dataInLengthBytes is { } length) command.CompleteGood(length);
        else SenseMapping.Complete(command, result);
    }

    private void Finish()
    {
        try
        {
            Answer(_command, _operation.GetResult(), _dataInLengthBytes);
        }
        catch (Exception e)
        {
            _core.SetException(e); // A bug of the device: whoever awaits the command gets it.
            return;
        }

        _core.SetResult(true); // From here on the command may be in use again.
    }

    void IValueTaskSource.GetResult(short token) => _core.GetResult(token);

    ValueTaskSourceStatus IValueTaskSource.GetStatus(short token) => _core.GetStatus(token);

    void IValueTaskSource.OnCompleted(Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags) =>
        _core.OnCompleted(continuation, state, token, flags);
}
