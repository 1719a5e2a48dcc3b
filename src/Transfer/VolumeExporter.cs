using System.Globalization;
using Gateway.Transfer.Images;
using Gateway.Volumes;
using Microsoft.Win32.SafeHandles;

namespace Gateway.Transfer;

/// <summary>Copies a volume into a raw file, sparse where it reads as zeroes, or onto a block device.</summary>
/// <remarks>A file has another name until it is whole: one of its own name never holds half a disk.</remarks>
public sealed class VolumeExporter
{
    /// <summary>What the file's name ends in until it is whole.</summary>
    public const string PartialSuffix = ".partial";

    private const int PieceBytes = 1 << 20;
    private const int PiecesAtOnce = 16;

    /// <summary>Shorter stretches of zeroes are written.</summary>
    private const int HoleBytes = 64 << 10;

    private readonly PieceRunner _pieces = new(PieceBytes, PiecesAtOnce);

    /// <summary>Told how far it is.</summary>
    public IProgress<TransferProgress>? Progress { get; init; }

    /// <summary>Told why it waits for the store.</summary>
    public Action<string> Waits { get; init; } = _ => { };

    /// <param name="volume">The volume, open; nobody writes to it meanwhile.</param>
    /// <param name="path">The file, or a block device that is large enough.</param>
    /// <param name="force">Replaces a file that is there, or overwrites a device.</param>
    /// <param name="cancellationToken">Interrupts it: no file is left, a device is half written.</param>
    /// <exception cref="ImageException">The file cannot be written.</exception>
    /// <exception cref="VolumeException">The volume cannot be read.</exception>
    /// <exception cref="OperationCanceledException">It was interrupted.</exception>
    public async Task<TransferOutcome> RunAsync(Volume volume, string path, bool force, CancellationToken cancellationToken)
    {
        var full = Path.GetFullPath(path);
        var isDevice = IsDevice(full);
        if (File.Exists(full) && !force) throw new ImageException($"'{full}' is there already; nothing was written. Choose another name, or overwrite it with --force.");
        var partial = isDevice ? full : full + PartialSuffix;
        var isDone = false;
        try
        {
            long data;
            using (var file = File.OpenHandle(partial, isDevice ? FileMode.Open : FileMode.Create, FileAccess.Write, FileShare.None))
            {
                data = await CopyAsync(new VolumeIo(volume, volume.Name, Waits), file, full, isDevice, cancellationToken);
                RandomAccess.FlushToDisk(file);
            }

            if (!isDevice) File.Move(partial, full, overwrite: force);
            isDone = true;
            return new TransferOutcome(volume.SizeBytes, data, 0, false);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new ImageException($"'{partial}' cannot be written: {e.Message}", e);
        }
        finally
        {
            if (!isDone && !isDevice) File.Delete(partial);
        }
    }

    private async Task<long> CopyAsync(VolumeIo volume, SafeFileHandle file, string path, bool isDevice, CancellationToken cancellationToken)
    {
        if (isDevice)
        {
            using var device = ImageFile.Open(path);
            if (device.LengthBytes < volume.SizeBytes) throw new ImageException(string.Create(CultureInfo.InvariantCulture, $"'{path}' has {device.LengthBytes} bytes, and the volume {volume.SizeBytes}."));
        }
        else
        {
            RandomAccess.SetLength(file, volume.SizeBytes);
        }

        var data = 0L;
        try
        {
            for (var position = 0L; position < volume.SizeBytes;)
            {
                cancellationToken.ThrowIfCancellationRequested();
                var (at, length) = (position, (int)Math.Min(PieceBytes, volume.SizeBytes - position));
                position += length;
                await _pieces.AddAsync(position, async buffer =>
                {
                    await volume.ReadAsync(at, buffer, length, cancellationToken);
                    Interlocked.Add(ref data, await WriteAsync(file, at, buffer.Bytes(length), keepsZeroes: isDevice, cancellationToken));
                });
                Progress?.Report(new TransferProgress(TransferPhase.Copy, _pieces.DoneBytes, volume.SizeBytes, Interlocked.Read(ref data)));
            }

            await _pieces.EndAsync();
        }
        finally
        {
            await _pieces.AbandonAsync();
        }

        Progress?.Report(new TransferProgress(TransferPhase.Copy, volume.SizeBytes, volume.SizeBytes, data));
        return data;
    }

    /// <summary>Writes what is not zero. Returns how much that was.</summary>
    private static async Task<long> WriteAsync(SafeFileHandle file, long position, Memory<byte> bytes, bool keepsZeroes, CancellationToken cancellationToken)
    {
        var written = 0L;
        for (var at = 0; at < bytes.Length;)
        {
            var end = at;
            while (end < bytes.Length && (keepsZeroes || bytes.Span[end..Math.Min(end + HoleBytes, bytes.Length)].ContainsAnyExcept((byte)0))) end = Math.Min(end + HoleBytes, bytes.Length);
            if (end > at) await RandomAccess.WriteAsync(file, bytes[at..end], position + at, cancellationToken);
            written += end - at;
            at = end > at ? end : Math.Min(at + HoleBytes, bytes.Length);
        }

        return written;
    }

    private static bool IsDevice(string path)
    {
        if (!File.Exists(path)) return false;
        using var file = ImageFile.Open(path);
        return file.IsDevice;
    }
}
