namespace Gateway.Backends.Core;

/// <summary>What a caller can do about a failed store operation. A kind exists only where callers act differently.</summary>
public enum BlobErrorKind
{
    /// <summary>The blob does not exist; the container does.</summary>
    NotFound,

    /// <summary>The blob exists and the put asked for its absence.</summary>
    PreconditionFailed,

    /// <summary>Credentials missing, wrong, expired or not allowed to do this.</summary>
    AccessDenied,

    /// <summary>The store asks for fewer requests; the effect is unknown.</summary>
    Throttled,

    /// <summary>The store cannot be reached, timed out, failed inside, or is out of space; the effect of a put is unknown.</summary>
    Unavailable,

    /// <summary>The bytes that came back are not those that were stored.</summary>
    Corrupt,

    /// <summary>The container itself (bucket, directory, pool) does not exist.</summary>
    ContainerMissing,

    /// <summary>The store refuses the request as it stands: a wrong endpoint, region or option. Trying again does not help.</summary>
    Rejected,
}

/// <summary>A failed operation of an <see cref="IBlobStore"/>. Its message tells a person what happened and names no credentials.</summary>
public sealed class BlobStoreException(BlobErrorKind kind, string message, Exception? innerException = null)
    : Exception(message, innerException)
{
    /// <summary>What a caller can do about it.</summary>
    public BlobErrorKind Kind { get; } = kind;

    /// <summary>How long the store asks to be left alone (HTTP's Retry-After); null if it did not say.</summary>
    public TimeSpan? RetryAfter { get; init; }

    /// <summary>True if the same request may well succeed later without anyone's help.</summary>
    public bool IsTransient => Kind is BlobErrorKind.Throttled or BlobErrorKind.Unavailable;
}
