using Microsoft.Extensions.Logging;

namespace Gateway.Lio;

/// <summary>Log messages of the reconciler. Event ids 700 to 709.</summary>
internal static partial class LioLog
{
    [LoggerMessage(EventId = 700, EventName = "LioStep", Level = LogLevel.Debug, Message = "{Item}: {Step}")]
    public static partial void Step(ILogger logger, string item, LioStep step);

    [LoggerMessage(EventId = 701, EventName = "LioFailure", Level = LogLevel.Debug, Message = "{Item}: {Reason}")]
    public static partial void Failure(ILogger logger, string item, string reason);

    [LoggerMessage(EventId = 702, EventName = "LioWarning", Level = LogLevel.Warning, Message = "{Item}: {Reason}")]
    public static partial void Warning(ILogger logger, string item, string reason);

    [LoggerMessage(EventId = 703, EventName = "LioReconciled", Level = LogLevel.Information, Message = "LIO was changed in {Steps} steps; items that are not as declared: {Failures}.")]
    public static partial void Reconciled(ILogger logger, int steps, int failures);
}
