using Gateway.Backends.Core;
using Gateway.Scsi;

namespace Gateway.Volumes.Reading;

/// <summary>Fetches ranges of immutable blobs, first from the cache file, then from the store. Thread safe.</summary>
internal interface IRangeFetcher
{
    /// <summary>
    /// Bytes that <paramref name="check"/> has proved, in memory that is the caller's; or why there are none: <see cref="BlockError.Corrupt"/> if
    /// they fail the check twice or the blob is missing or too short, else <see cref="BlockError.StoreUnavailable"/>.
    /// </summary>
    /// <param name="blob">The blob; what is at a place in it never changes.</param>
    /// <param name="offsetBytes">Where the range starts.</param>
    /// <param name="lengthBytes">Its length.</param>
    /// <param name="check">Proves the whole range; it may be called from any thread, and more than once.</param>
    /// <remarks>Ends after the command timeout. Calls for the same range at the same time each fetch it.</remarks>
    ValueTask<(BlockError Error, byte[] Content)> FetchAsync(BlobKey blob, long offsetBytes, int lengthBytes, Func<ReadOnlyMemory<byte>, bool> check);
}
