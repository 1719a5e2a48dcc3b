using Gateway.Configuration;
using Microsoft.Extensions.Logging;

namespace Gateway.Targets;

/// <summary>Log events of exports, 600 to 699.</summary>
internal static partial class TargetsLog
{
    [LoggerMessage(EventId = 600, EventName = "VolumeMade", Level = LogLevel.Information, Message = "Volume {Volume} was declared and not there: it was made, {SizeBytes} bytes.")]
    public static partial void VolumeMade(ILogger logger, VolumePath volume, long sizeBytes);

    [LoggerMessage(EventId = 601, EventName = "VolumeGrown", Level = LogLevel.Information, Message = "Volume {Volume} was declared larger: it has {SizeBytes} bytes now.")]
    public static partial void VolumeGrown(ILogger logger, VolumePath volume, long sizeBytes);

    [LoggerMessage(EventId = 602, EventName = "ExportFault", Level = LogLevel.Error, Message = "Exports are not all as declared, and are tried again. {Fault}")]
    public static partial void Fault(ILogger logger, string fault);

    [LoggerMessage(EventId = 603, EventName = "ExportsMended", Level = LogLevel.Information, Message = "All exports are as declared.")]
    public static partial void Mended(ILogger logger);

    [LoggerMessage(EventId = 604, EventName = "KeeperFault", Level = LogLevel.Error, Message = "A fault of ours kept the exports from being looked after; they are tried again.")]
    public static partial void KeeperFault(ILogger logger, Exception exception);
}
