using Microsoft.Extensions.Logging;

namespace Gateway.Tcmu;

/// <summary>Log messages of the monitor. Event ids 230 to 239.</summary>
internal static partial class NetlinkLog
{
    [LoggerMessage(EventId = 230, EventName = "MonitorStarted", Level = LogLevel.Information, Message = "Receiving TCMU events (family {Family}, group {Group}).")]
    public static partial void Started(ILogger logger, ushort family, uint group);

    [LoggerMessage(EventId = 231, EventName = "EventReceived", Level = LogLevel.Debug, Message = "TCMU event {TcmuEvent}.")]
    public static partial void Received(ILogger logger, TcmuEvent tcmuEvent);

    [LoggerMessage(EventId = 232, EventName = "EventsLost", Level = LogLevel.Warning, Message = "TCMU events were lost; devices are looked up anew.")]
    public static partial void Lost(ILogger logger);

    [LoggerMessage(EventId = 233, EventName = "ReplyFailed", Level = LogLevel.Error,
        Message = "A reply to the kernel failed with errno {Errno}; the operation it answers may wait until netlink is reset.")]
    public static partial void ReplyFailed(ILogger logger, int errno);

    [LoggerMessage(EventId = 234, EventName = "EventRefused", Level = LogLevel.Error, Message = "{Device}: too many TCMU events are waiting; the operation fails with EBUSY.")]
    public static partial void Refused(ILogger logger, TcmuDeviceName device);

    [LoggerMessage(EventId = 235, EventName = "MonitorFailed", Level = LogLevel.Error, Message = "TCMU events are no longer received.")]
    public static partial void Failed(ILogger logger, Exception exception);

    [LoggerMessage(EventId = 236, EventName = "EventIgnored", Level = LogLevel.Debug, Message = "TCMU event of {Device} is for another daemon.")]
    public static partial void Ignored(ILogger logger, TcmuDeviceName device);
}
