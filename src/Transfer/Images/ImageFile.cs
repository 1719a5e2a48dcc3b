using System.Globalization;
using System.Runtime.InteropServices;
using Gateway.Transfer.Interop;
using Microsoft.Win32.SafeHandles;

namespace Gateway.Transfer.Images;

/// <summary>The file or block device that an image is in, open for reading.</summary>
internal sealed class ImageFile : IDisposable
{
    private readonly SafeFileHandle _handle;

    private ImageFile(string path, SafeFileHandle handle, long lengthBytes) => (Path, _handle, LengthBytes) = (path, handle, lengthBytes);

    /// <summary>The absolute path.</summary>
    public string Path { get; }

    /// <summary>Length in bytes, of a block device too.</summary>
    public long LengthBytes { get; }

    /// <summary>True for a block device, whose length its file does not tell.</summary>
    public bool IsDevice => LengthBytes > 0 && RandomAccess.GetLength(_handle) == 0;

    /// <exception cref="ImageException">It is not there, no file, or may not be read.</exception>
    public static ImageFile Open(string path)
    {
        var full = System.IO.Path.GetFullPath(path);
        if (Directory.Exists(full)) throw new ImageException($"'{full}' is a directory. Name a disk image or a block device.");
        SafeFileHandle? handle = null;
        try
        {
            handle = File.OpenHandle(full, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
            var length = Libc.Seek(handle, 0, Libc.SeekEnd);
            if (length < 0) throw new ImageException($"'{full}' has no length (error {Marshal.GetLastPInvokeError()}): it is neither a file nor a block device.");
            return new ImageFile(full, handle, length);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            handle?.Dispose();
            throw new ImageException($"'{full}' cannot be opened: {e.Message}", e);
        }
        catch (ImageException)
        {
            handle?.Dispose();
            throw;
        }
    }

    /// <summary>Path, length and, for a file, the time of its last change.</summary>
    public string Describe(string format)
    {
        var length = Libc.Seek(_handle, 0, Libc.SeekEnd);
        if (IsDevice) return string.Create(CultureInfo.InvariantCulture, $"{format} '{Path}' ({length} bytes)");
        return string.Create(CultureInfo.InvariantCulture, $"{format} '{Path}' ({length} bytes, changed {File.GetLastWriteTimeUtc(_handle):O})");
    }

    /// <summary>Where the next data at or behind an offset begins; the length if there is none. False if the file system cannot tell.</summary>
    public bool TryFindData(long offset, out long data) => TryFind(offset, Libc.SeekData, out data);

    /// <summary>Where the next hole at or behind an offset begins; the end counts as one.</summary>
    public bool TryFindHole(long offset, out long hole) => TryFind(offset, Libc.SeekHole, out hole);

    /// <summary>Reads as much as there is; the rest of <paramref name="destination"/> is zeroed. Returns what was read.</summary>
    /// <exception cref="ImageException">A read error.</exception>
    public async ValueTask<int> ReadAsync(long offset, Memory<byte> destination, CancellationToken cancellationToken)
    {
        try
        {
            var done = 0;
            while (done < destination.Length)
            {
                var read = await RandomAccess.ReadAsync(_handle, destination[done..], offset + done, cancellationToken);
                if (read == 0) break;
                done += read;
            }

            destination.Span[done..].Clear();
            return done;
        }
        catch (IOException e)
        {
            throw new ImageException(string.Create(CultureInfo.InvariantCulture, $"'{Path}' cannot be read at byte {offset}: {e.Message}"), e);
        }
    }

    public void Dispose() => _handle.Dispose();

    private bool TryFind(long offset, int whence, out long found)
    {
        found = Libc.Seek(_handle, offset, whence);
        if (found >= 0) return true;
        found = LengthBytes;
        return Marshal.GetLastPInvokeError() == Libc.NoSuchAddress;
    }
}
