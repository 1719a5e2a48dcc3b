using System.ComponentModel.DataAnnotations;

namespace Gateway.Backends.File;

/// <summary>A directory of the local file system as a blob store.</summary>
public sealed record FileStoreOptions
{
    /// <summary>The directory, absolute. It must exist: a mount that is missing must not be filled up behind the mount point. No default.</summary>
    [Required] public string Path { get; set; } = "";

    /// <summary>Threads that wait for the disk in the store's stead, so that no caller and no thread of the pool does. Default 8.</summary>
    [Range(1, 256)] public int Threads { get; set; } = 8;
}
