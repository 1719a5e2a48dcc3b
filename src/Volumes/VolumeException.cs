namespace Gateway.Volumes;

/// <summary>Why a volume cannot be created, opened or read as a whole.</summary>
public enum VolumeErrorKind
{
    /// <summary>No such volume in the store.</summary>
    NotFound,

    /// <summary>A volume of that name exists.</summary>
    AlreadyExists,

    /// <summary>A size, name or option that cannot be.</summary>
    InvalidArgument,

    /// <summary>A blob or journal fails its checks, or one is missing.</summary>
    Damaged,

    /// <summary>An object below the volume's prefix, or a file, that this project did not make.</summary>
    Foreign,

    /// <summary>Written by a newer version, or with a feature that this one lacks.</summary>
    Unsupported,

    /// <summary>The journal belongs to another volume, or to a history that the bucket no longer continues.</summary>
    JournalMismatch,

    /// <summary>Another gateway owns or is claiming the volume.</summary>
    Fenced,

    /// <summary>Another gateway may still serve the volume, or its journal holds flushed writes that the bucket lacks: a person must decide.</summary>
    OwnedElsewhere,

    /// <summary>The local disk failed.</summary>
    LocalDisk,
}

/// <summary>A volume operation failed; the message says what happened and what to do about it. Nothing was lost or changed.</summary>
public sealed class VolumeException(VolumeErrorKind kind, string message, Exception? innerException = null)
    : Exception(message, innerException)
{
    /// <summary>Why.</summary>
    public VolumeErrorKind Kind { get; } = kind;
}
