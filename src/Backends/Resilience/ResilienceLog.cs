using Microsoft.Extensions.Logging;

namespace Gateway.Backends.Resilience;

/// <summary>Log events of the stores' circuits, 400 to 409.</summary>
internal static partial class ResilienceLog
{
    [LoggerMessage(EventId = 400, EventName = "StoreAway", Level = LogLevel.Warning,
        Message = "{Store} is away: requests are refused, and one is tried every {BreakDuration}. Last failure: {Error}")]
    public static partial void Opened(ILogger logger, string store, TimeSpan breakDuration, string error);

    [LoggerMessage(EventId = 401, EventName = "StoreBack", Level = LogLevel.Information, Message = "{Store} is back after {Away}.")]
    public static partial void Closed(ILogger logger, string store, TimeSpan away);
}
