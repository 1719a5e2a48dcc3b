using Gateway.Scsi.Interop;
using Gateway.Volumes.Interop;
using Microsoft.Extensions.Logging;

namespace Gateway.Volumes.Journal;

/// <summary>A directory on local disk; made, for its owner alone, with the first journal.</summary>
internal sealed class LocalJournalDirectory(string path, bool allowUnsafe, TimeProvider time, ILogger logger) : IJournalDirectory
{
    private const int ProbeRounds = 9;
    private const int ProbePageBytes = 4096;

    /// <summary>The fastest disk with a protected cache takes longer for a write and a flush.</summary>
    private static readonly TimeSpan FlushMin = TimeSpan.FromMicroseconds(10);

    // One look in the life of the process: what is found out does not change while volumes come and go.
    private static readonly Lock ProbedGate = new();
    private static readonly HashSet<(string Path, bool AllowUnsafe)> Probed = [];

    public string Name => path;

    public async ValueTask ProbeAsync()
    {
        lock (ProbedGate)
            if (Probed.Contains((path, allowUnsafe))) return;
        await Task.Run(Probe);
        lock (ProbedGate) Probed.Add((path, allowUnsafe));
    }

    public bool Exists(string name) => File.Exists(Path.Combine(path, name));

    public IJournalDisk Open(string name) => DiskFile.Open(Path.Combine(path, name));

    public IJournalDisk Create(string name, long lengthBytes)
    {
        CreateDirectory();
        return DiskFile.Create(Path.Combine(path, name), lengthBytes);
    }

    /// <remarks>The caller has the file locked, and whoever made one of the new name had this one's name before: so nobody comes in between.</remarks>
    public void Rename(string from, string to)
    {
        if (Exists(to))
        {
            File.Delete(Path.Combine(path, from));
            throw new IOException($"'{Path.Combine(path, to)}' was made by another process meanwhile.");
        }

        File.Move(Path.Combine(path, from), Path.Combine(path, to));
        DiskFile.FlushDirectory(path);
    }

    public void KeepAside(string from, string to)
    {
        File.Move(Path.Combine(path, from), Path.Combine(path, to), overwrite: false);
        DiskFile.FlushDirectory(path);
    }

    private void CreateDirectory() => Directory.CreateDirectory(path, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);

    private void Probe()
    {
        CreateDirectory();
        if (FileSystem.FindFault(path) is { } fault)
        {
            if (!allowUnsafe)
                throw new VolumeException(
                    VolumeErrorKind.InvalidArgument,
                    $"Journal directory '{path}' is not safe: it is on {fault}. Flushed writes could be lost there. Set journal.directory to a directory on a local disk (ext4, XFS, btrfs, ...); or set it to null to serve without a journal, where every flush goes to the bucket; or, for tests only, set journal.allowUnsafeFileSystem to true.");
            VolumeLog.JournalUnsafe(logger, path, fault);
            return;
        }

        var flush = MeasureFlush();
        if (flush < FlushMin) VolumeLog.FlushSuspicious(logger, path, flush.TotalMicroseconds);
    }

    /// <summary>The median time of a small append and its flush, in a file that was written before.</summary>
    private TimeSpan MeasureFlush()
    {
        var name = Path.Combine(path, $".flush-probe-{Environment.ProcessId}");
        using var file = File.OpenHandle(name, FileMode.Create, FileAccess.ReadWrite, FileShare.None, FileOptions.DeleteOnClose);
        using var page = new NativeBuffer(ProbePageBytes);
        for (var i = 0; i < ProbeRounds; i++) RandomAccess.Write(file, page.Span, i * ProbePageBytes);
        DiskFile.Flush(file, name);
        var took = new TimeSpan[ProbeRounds];
        for (var i = 0; i < ProbeRounds; i++)
        {
            var start = time.GetTimestamp();
            RandomAccess.Write(file, page.Span, i * ProbePageBytes);
            DiskFile.Flush(file, name);
            took[i] = time.GetElapsedTime(start);
        }

        Array.Sort(took);
        return took[ProbeRounds / 2];
    }
}
