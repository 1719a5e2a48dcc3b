using Gateway.Volumes.Interop;

namespace Gateway.Volumes.Journal;

/// <summary>A directory on local disk; made, for its owner alone, with the first journal.</summary>
internal sealed class LocalJournalDirectory(string path) : IJournalDirectory
{
    public bool Exists(string name) => File.Exists(Path.Combine(path, name));

    public IJournalDisk Open(string name) => DiskFile.Open(Path.Combine(path, name));

    public IJournalDisk Create(string name, long lengthBytes)
    {
        Directory.CreateDirectory(path, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        File.Delete(Path.Combine(path, name));
        return DiskFile.Create(Path.Combine(path, name), lengthBytes);
    }

    public void Rename(string from, string to)
    {
        File.Move(Path.Combine(path, from), Path.Combine(path, to));
        DiskFile.FlushDirectory(path);
    }

    public void KeepAside(string from, string to)
    {
        File.Move(Path.Combine(path, from), Path.Combine(path, to), overwrite: false);
        DiskFile.FlushDirectory(path);
    }
}
