using Gateway.Tcmu;
using Microsoft.Extensions.Logging;

namespace Gateway.Serving;

/// <summary>Log events of the daemon, 100 to 199.</summary>
internal static partial class ServingLog
{
    [LoggerMessage(EventId = 100, EventName = "Serving", Level = LogLevel.Information,
        Message = "tcmu-gateway {Version} serves {Devices} devices and waits for more.")]
    public static partial void Serving(ILogger logger, string version, int devices);

    [LoggerMessage(EventId = 101, EventName = "DeviceAttached", Level = LogLevel.Information, Message = "Device {Device}: attached, volume {Volume}.")]
    public static partial void Attached(ILogger logger, TcmuDeviceName device, string volume);

    [LoggerMessage(EventId = 102, EventName = "DeviceDetached", Level = LogLevel.Information, Message = "Device {Device}: detached.")]
    public static partial void Detached(ILogger logger, TcmuDeviceName device);

    [LoggerMessage(EventId = 103, EventName = "DeviceRefused", Level = LogLevel.Error, Message = "Device {Device} is not served: {Reason}")]
    public static partial void Refused(ILogger logger, TcmuDeviceName device, string reason, Exception? exception);

    [LoggerMessage(EventId = 104, EventName = "VolumeNotOpen", Level = LogLevel.Error,
        Message = "Device {Device}: its volume is not open, trying again in {Delay}. {Reason}")]
    public static partial void NotOpen(ILogger logger, TcmuDeviceName device, TimeSpan delay, string reason);

    [LoggerMessage(EventId = 105, EventName = "RingReopened", Level = LogLevel.Warning, Message = "Device {Device}: its ring broke ({Reason}); it was reset and opened anew.")]
    public static partial void RingReopened(ILogger logger, TcmuDeviceName device, string reason);

    [LoggerMessage(EventId = 106, EventName = "DeviceReconfigured", Level = LogLevel.Information, Message = "Device {Device}: {Change}")]
    public static partial void Reconfigured(ILogger logger, TcmuDeviceName device, string change);

    [LoggerMessage(EventId = 109, EventName = "DeviceDeadline", Level = LogLevel.Information,
        Message = "Device {Device}: a command that waits ends in sense data after {CommandTimeout}.")]
    public static partial void Deadline(ILogger logger, TcmuDeviceName device, TimeSpan commandTimeout);

    [LoggerMessage(EventId = 110, EventName = "KernelTimesOut", Level = LogLevel.Warning,
        Message = "Device {Device}: its cmd_time_out is {KernelTimeout}. A command that takes longer is failed by the kernel, which tells nobody here, and a late write may still take effect after its initiator has repeated it. Write 0 to attrib/cmd_time_out before the device is exported: the gateway has a time limit of its own, now {CommandTimeout}.")]
    public static partial void KernelTimesOut(ILogger logger, TcmuDeviceName device, TimeSpan kernelTimeout, TimeSpan commandTimeout);

    [LoggerMessage(EventId = 111, EventName = "LongOutageReadOnly", Level = LogLevel.Error,
        Message = "Device {Device}: its store has been away for {After}, so writes are refused (DATA PROTECT) until it is back. Bring the store back; then have initiators mount again what they turned read-only. Last failure: {LastFailure}")]
    public static partial void LongOutageReadOnly(ILogger logger, TcmuDeviceName device, TimeSpan after, string? lastFailure);

    [LoggerMessage(EventId = 112, EventName = "LongOutageFail", Level = LogLevel.Error,
        Message = "Device {Device}: its store has been away for {After}, so all its commands are refused (target port unavailable) until it is back, and multipath takes another path. See that another gateway reaches the store and serves the volume, or bring the store back. Last failure: {LastFailure}")]
    public static partial void LongOutageFail(ILogger logger, TcmuDeviceName device, TimeSpan after, string? lastFailure);

    [LoggerMessage(EventId = 113, EventName = "LongOutageEnds", Level = LogLevel.Warning,
        Message = "Device {Device}: its store is back, and commands are served again; they were refused for {Refused}. Look for initiators that gave up meanwhile: file systems mounted read-only, failed paths.")]
    public static partial void LongOutageEnds(ILogger logger, TcmuDeviceName device, TimeSpan refused);

    [LoggerMessage(EventId = 114, EventName = "ConfigurationReloaded", Level = LogLevel.Information, Message = "Configuration file '{Path}' was read again; it holds from now on.")]
    public static partial void Reloaded(ILogger logger, string path);

    [LoggerMessage(EventId = 115, EventName = "ConfigurationNeedsRestart", Level = LogLevel.Warning,
        Message = "Configuration file '{Path}' was read again. What else changed holds, but a restart is needed for: {Settings}.")]
    public static partial void NeedsRestart(ILogger logger, string path, string settings);

    [LoggerMessage(EventId = 116, EventName = "ConfigurationRefused", Level = LogLevel.Error, Message = "The configuration stays as it is; correct the file: it is read again when it changes. {Fault}")]
    public static partial void ReloadRefused(ILogger logger, string fault);

    [LoggerMessage(EventId = 117, EventName = "DeviceResized", Level = LogLevel.Information,
        Message = "Device {Device}: its volume has {SizeBytes} bytes from now on, and initiators are told so.")]
    public static partial void Resized(ILogger logger, TcmuDeviceName device, long sizeBytes);

    [LoggerMessage(EventId = 118, EventName = "DeviceNotResized", Level = LogLevel.Warning, Message = "Device {Device}: its size was not taken over as a whole. {Reason}")]
    public static partial void NotResized(ILogger logger, TcmuDeviceName device, string reason);

    [LoggerMessage(EventId = 119, EventName = "TrashPurged", Level = LogLevel.Information, Message = "Volume {Store}/{Volume} ({VolumeId}) was in the trash until its time was over, and was purged.")]
    public static partial void Purged(ILogger logger, string store, string volume, Guid volumeId);

    [LoggerMessage(EventId = 108, EventName = "CannotServe", Level = LogLevel.Critical, Message = "No device can be served: {Reason}")]
    public static partial void CannotServe(ILogger logger, string reason);

    [LoggerMessage(EventId = 107, EventName = "Stopping", Level = LogLevel.Information, Message = "Stopping: {Devices} devices are drained and closed.")]
    public static partial void Stopping(ILogger logger, int devices);
}
