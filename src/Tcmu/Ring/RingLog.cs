using Microsoft.Extensions.Logging;

namespace Gateway.Tcmu;

/// <summary>Log messages of the ring. Event ids 200 to 219.</summary>
internal static partial class RingLog
{
    [LoggerMessage(EventId = 200, EventName = "RingStarted", Level = LogLevel.Information,
        Message = "Serving {Device}: mailbox flags {Flags}, command ring of {RingLengthBytes} bytes, data area of {DataAreaBytes} bytes.")]
    public static partial void Started(ILogger logger, string device, MailboxFlags flags, int ringLengthBytes, long dataAreaBytes);

    [LoggerMessage(EventId = 201, EventName = "RingStopped", Level = LogLevel.Information, Message = "Stopped serving {Device} after {Commands} commands.")]
    public static partial void Stopped(ILogger logger, string device, long commands);

    [LoggerMessage(EventId = 202, EventName = "RingBroken", Level = LogLevel.Error,
        Message = "The ring of {Device} is broken and is no longer served; the device needs a ring reset (close and open it again). {Reason}")]
    public static partial void Broken(ILogger logger, string device, string reason, Exception? exception);

    [LoggerMessage(EventId = 203, EventName = "CommandFault", Level = LogLevel.Error,
        Message = "Command {OperationCode:X2}h of {Device} failed by an unexpected exception; it ends in ABORTED COMMAND.")]
    public static partial void CommandFault(ILogger logger, string device, byte operationCode, Exception exception);

    [LoggerMessage(EventId = 204, EventName = "TaskManagement", Level = LogLevel.Information,
        Message = "Task management function {Type} on {Device} concerns {Count} commands.")]
    public static partial void TaskManagement(ILogger logger, string device, TmrType type, int count);

    [LoggerMessage(EventId = 205, EventName = "UnknownEntry", Level = LogLevel.Warning,
        Message = "Ring entry with opcode {Opcode} on {Device} is not understood; the kernel is told so, now and from here on.")]
    public static partial void UnknownEntry(ILogger logger, string device, int opcode);

    [LoggerMessage(EventId = 206, EventName = "TaskManagementFault", Level = LogLevel.Error,
        Message = "The task management handler of {Device} failed by an unexpected exception.")]
    public static partial void TaskManagementFault(ILogger logger, string device, Exception exception);

    [LoggerMessage(EventId = 207, EventName = "StopWaits", Level = LogLevel.Warning,
        Message = "Stopping {Device} was given up with {InFlight} commands in flight; they are cancelled, and its memory stays mapped until they end.")]
    public static partial void StopGivenUp(ILogger logger, string device, int inFlight);

    [LoggerMessage(EventId = 208, EventName = "CancellationFault", Level = LogLevel.Error,
        Message = "Cancelling command {OperationCode:X2}h of {Device} raised an unexpected exception; the command ends as it will.")]
    public static partial void CancellationFault(ILogger logger, string device, byte operationCode, Exception exception);
}
