namespace Gateway.Backends.Core;

/// <summary>What must hold for a put to take effect.</summary>
public enum Precondition
{
    /// <summary>Nothing: creates or replaces.</summary>
    None = 0,

    /// <summary>No blob of that key exists (<c>If-None-Match: *</c>): the only condition that every serious store gets right.</summary>
    Absent,
}

/// <summary>A blob as a listing shows it.</summary>
/// <param name="Name">Its name below the store's root, as it is: a foreign object's may be no valid <see cref="BlobKey"/>.</param>
/// <param name="LengthBytes">Its length in bytes.</param>
public readonly record struct BlobInfo(string Name, long LengthBytes);

/// <summary>A flat store of immutable blobs, written whole. Thread safe; does not retry; every failure is a <see cref="BlobStoreException"/>.</summary>
/// <remarks>A completed put is seen by every later read and list (strong consistency), and is durable.</remarks>
public interface IBlobStore : IAsyncDisposable
{
    /// <summary>Names the store for people: kind, place, no credentials.</summary>
    string Description { get; }

    /// <summary>
    /// Reads from <paramref name="offsetBytes"/> on into <paramref name="destination"/>. Returns the number of bytes read, which is
    /// less than asked only where the blob ends (0 at or past its end).
    /// </summary>
    /// <exception cref="BlobStoreException"><see cref="BlobErrorKind.NotFound"/> if there is no such blob; any other kind.</exception>
    ValueTask<int> ReadAsync(BlobKey key, long offsetBytes, Memory<byte> destination, CancellationToken cancellationToken);

    /// <summary>Stores the whole blob or nothing. The caller keeps <paramref name="content"/> unchanged until completion.</summary>
    /// <exception cref="BlobStoreException">
    /// <see cref="BlobErrorKind.PreconditionFailed"/> if the blob exists and must not. After <see cref="BlobErrorKind.Unavailable"/> or
    /// <see cref="BlobErrorKind.Throttled"/> the put may or may not have taken effect.
    /// </exception>
    ValueTask PutAsync(BlobKey key, ReadOnlyMemory<byte> content, Precondition precondition, CancellationToken cancellationToken);

    /// <summary>The blob's length in bytes, or null if there is none.</summary>
    ValueTask<long?> GetLengthAsync(BlobKey key, CancellationToken cancellationToken);

    /// <summary>
    /// The blobs whose keys start with <paramref name="prefix"/> (any string, not only whole path segments), in ordinal order of their
    /// names, from the first one after <paramref name="startAfter"/> on. Fetches page by page as it is enumerated.
    /// </summary>
    IAsyncEnumerable<BlobInfo> ListAsync(string prefix, string? startAfter, CancellationToken cancellationToken);

    /// <summary>
    /// The distinct next path segments below <paramref name="prefix"/> (empty or ending in '/'), each ending in '/', in ordinal order;
    /// blobs directly below it are left out.
    /// </summary>
    IAsyncEnumerable<string> ListFoldersAsync(string prefix, CancellationToken cancellationToken);

    /// <summary>Removes the blob; one that does not exist is no error.</summary>
    ValueTask DeleteAsync(BlobKey key, CancellationToken cancellationToken);
}
