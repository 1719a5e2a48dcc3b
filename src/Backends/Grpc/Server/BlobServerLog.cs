using Microsoft.Extensions.Logging;

namespace Gateway.Backends.Grpc.Server;

/// <summary>Messages of the blob server. A key of a tenant is in none above debug level, a credential in none at all.</summary>
internal static partial class BlobServerLog
{
    [LoggerMessage(EventId = 900, EventName = "BlobServerStarted", Level = LogLevel.Information, Message = "Blob server for {Store} listens on {Address}.")]
    public static partial void Started(ILogger logger, string store, string address);

    [LoggerMessage(EventId = 901, EventName = "BlobServerStoreFailed", Level = LogLevel.Warning, Message = "{Method} failed: {Reason}")]
    public static partial void StoreFailed(ILogger logger, string method, string reason);

    [LoggerMessage(EventId = 902, EventName = "BlobServerCredentialsUnreadable", Level = LogLevel.Error, Message = "Every call is refused: {Reason}")]
    public static partial void CredentialsUnreadable(ILogger logger, string reason);

    [LoggerMessage(EventId = 903, EventName = "BlobServerCallFailed", Level = LogLevel.Error, Message = "{Method} failed in a way that it should not.")]
    public static partial void CallFailed(ILogger logger, string method, Exception exception);
}
