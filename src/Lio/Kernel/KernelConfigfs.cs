using System.Runtime.InteropServices;
using Gateway.Lio.Interop;
using Gateway.Tcmu;
using Gateway.Tcmu.Interop;

namespace Gateway.Lio;

/// <summary>The real configfs. Thread safe.</summary>
public sealed class KernelConfigfs : IConfigfs
{
    private readonly KernelFiles _files = new();

    public bool Exists(string path) => _files.Exists(path);

    public IReadOnlyList<string> List(string directory) => _files.List(directory);

    public string Read(string path) => _files.Read(path);

    public void Write(string path, string text) => _files.Write(path, text);

    public IReadOnlyList<string> ListDirectories(string directory) => ListEntries(directory, links: false);

    public IReadOnlyList<string> ListLinks(string directory) => ListEntries(directory, links: true);

    // configfs' links are relative.
    public string? ReadLink(string path) =>
        new FileInfo(path).LinkTarget is { } target ? Path.GetFullPath(target, Path.GetDirectoryName(path)!) : null;

    public void MakeDirectory(string path) => Check(Libc.MakeDirectory(path, Libc.DirectoryMode), "mkdir");

    public void RemoveDirectory(string path) => Check(Libc.RemoveDirectory(path), "rmdir");

    public void Link(string target, string path) => Check(Libc.Link(target, path), "symlink");

    public void Unlink(string path) => Check(Libc.Unlink(path), "unlink");

    private static string[] ListEntries(string directory, bool links)
    {
        try
        {
            return
            [
                .. new DirectoryInfo(directory).EnumerateFileSystemInfos()
                    .Where(entry => links == entry.Attributes.HasFlag(FileAttributes.ReparsePoint) && (links || entry.Attributes.HasFlag(FileAttributes.Directory)))
                    .Select(entry => entry.Name)
                    .Order(StringComparer.Ordinal),
            ];
        }
        catch (DirectoryNotFoundException)
        {
            return [];
        }
    }

    private static void Check(int result, string call)
    {
        if (result != 0) throw new ErrnoException(call, Marshal.GetLastPInvokeError());
    }
}
