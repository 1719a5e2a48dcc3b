using Gateway.Scsi;
using Gateway.Volumes.Journal;
using Microsoft.Win32.SafeHandles;

namespace Gateway.Volumes.Cache;

/// <summary>A directory on local disk; made, for its owner alone, with the first file: it holds what the volumes hold.</summary>
internal sealed class LocalCacheDirectory(string path) : ICacheDirectory
{
    public IJournalDisk Open(string name, long lengthBytes)
    {
        try
        {
            Directory.CreateDirectory(path, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
            var file = Path.Combine(path, name);
            if (File.Exists(file))
            {
                var existing = new CacheDisk(file, FileMode.Open, 0);
                if (existing.LengthBytes == lengthBytes) return existing;
                File.Delete(file); // While it is locked: whoever else wants it makes one of its own.
                existing.Dispose();
            }

            return new CacheDisk(file, FileMode.CreateNew, lengthBytes);
        }
        catch (UnauthorizedAccessException e)
        {
            throw new IOException(e.Message, e);
        }
    }

    /// <summary>One file. Unlike a journal's it need not be fast to flush, nor is its unwritten space filled.</summary>
    private sealed class CacheDisk : IJournalDisk
    {
        private readonly SafeFileHandle _file;

        public CacheDisk(string path, FileMode mode, long lengthBytes)
        {
            Name = path;
            // No sharing: the runtime locks the file (flock), and refuses one that is locked.
            _file = File.OpenHandle(path, mode, FileAccess.ReadWrite, FileShare.None, FileOptions.None, lengthBytes);
            if (lengthBytes > 0) RandomAccess.SetLength(_file, lengthBytes);
            LengthBytes = RandomAccess.GetLength(_file);
        }

        public string Name { get; }

        public long LengthBytes { get; }

        /// <remarks>On a thread of its own: a local disk, too, may hang.</remarks>
        public ValueTask WriteAsync(ScatterList content, long offsetBytes) => new(Task.Run(() =>
        {
            foreach (var piece in content.Segments)
            {
                RandomAccess.Write(_file, piece.AsSpan(), offsetBytes);
                offsetBytes += piece.LengthBytes;
            }
        }));

        public async ValueTask ReadAsync(Memory<byte> destination, long offsetBytes)
        {
            while (!destination.IsEmpty)
            {
                var read = await RandomAccess.ReadAsync(_file, destination, offsetBytes);
                if (read == 0) throw new IOException($"'{Name}' ends at {offsetBytes} bytes, before it should.");
                destination = destination[read..];
                offsetBytes += read;
            }
        }

        public ValueTask FlushAsync() => new(Task.Run(() => RandomAccess.FlushToDisk(_file)));

        public void Dispose() => _file.Dispose();
    }
}
