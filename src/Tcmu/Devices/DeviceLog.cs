using Microsoft.Extensions.Logging;

namespace Gateway.Tcmu;

/// <summary>Log messages of devices' start-up. Event ids 220 to 229.</summary>
internal static partial class DeviceLog
{
    [LoggerMessage(EventId = 220, EventName = "ActionRetried", Level = LogLevel.Warning, Message = "action/{Action} of {Device} failed, attempt {Attempt}; trying again.")]
    public static partial void ActionRetried(ILogger logger, string action, TcmuDeviceName device, int attempt, Exception exception);

    [LoggerMessage(EventId = 221, EventName = "LeftBlocked", Level = LogLevel.Error,
        Message = "{Device} could not be unblocked and answers BUSY until 0 is written to its action/block_dev.")]
    public static partial void LeftBlocked(ILogger logger, TcmuDeviceName device, Exception exception);

    [LoggerMessage(EventId = 222, EventName = "TaskManagementNotNotified", Level = LogLevel.Warning,
        Message = "{Device}: the kernel does not tell of task management ({Reason}). An initiator's abort or LUN reset waits until the commands that it concerns have ended by themselves, by their time limit at the latest.")]
    public static partial void TaskManagementNotNotified(ILogger logger, TcmuDeviceName device, string reason);
}
