namespace Gateway.Transfer.Images;

/// <summary>A stretch of a disk image.</summary>
/// <param name="LengthBytes">Its length, at least 1.</param>
/// <param name="IsZero">True if it is known to read as zeroes, without reading it.</param>
public readonly record struct ImageExtent(long LengthBytes, bool IsZero);

/// <summary>A disk image cannot be read; the message says why, and what to do.</summary>
public sealed class ImageException(string message, Exception? innerException = null) : Exception(message, innerException);

/// <summary>A disk image as its user sees it: an array of bytes with holes. Reads are thread safe, and nothing is ever written.</summary>
public abstract class DiskImage : IAsyncDisposable
{
    /// <summary>What it is and in which state, for people: it changes when the image does.</summary>
    public abstract string Identity { get; }

    /// <summary>Capacity of the disk in bytes.</summary>
    public abstract long SizeBytes { get; }

    /// <summary>The stretch that begins at an offset below <see cref="SizeBytes"/>; it ends there at the latest. Called by one at a time.</summary>
    /// <exception cref="ImageException">The image is damaged.</exception>
    public abstract ValueTask<ImageExtent> FindAsync(long offsetBytes, CancellationToken cancellationToken);

    /// <summary>Fills <paramref name="destination"/> with the disk's bytes from an offset on; all of them lie below <see cref="SizeBytes"/>.</summary>
    /// <exception cref="ImageException">The image is damaged, or cannot be read.</exception>
    public abstract ValueTask ReadAsync(long offsetBytes, Memory<byte> destination, CancellationToken cancellationToken);

    /// <summary>The identity as it is now, to be compared with <see cref="Identity"/>.</summary>
    public virtual string CurrentIdentity() => Identity;

    public virtual ValueTask DisposeAsync()
    {
        GC.SuppressFinalize(this);
        return default;
    }
}
