using System.Text;

namespace Gateway.Tcmu;

/// <summary>Access to the text files of sysfs and configfs. A seam, so that tests see the order of writes and make them fail.</summary>
public interface IKernelFiles
{
    /// <summary>True if the file or directory is there.</summary>
    bool Exists(string path);

    /// <summary>Names of the entries of a directory, without its path; none if it is not there.</summary>
    IReadOnlyList<string> List(string directory);

    /// <summary>The file's text.</summary>
    /// <exception cref="IOException">It is gone, or the kernel refuses.</exception>
    string Read(string path);

    /// <summary>Hands text to an existing file in one write. May block as long as the kernel's handler does.</summary>
    /// <exception cref="IOException">It is not there, or the kernel refuses.</exception>
    void Write(string path, string text);
}

/// <summary>The real files. Thread safe.</summary>
public sealed class KernelFiles : IKernelFiles
{
    public bool Exists(string path) => File.Exists(path) || Directory.Exists(path);

    public IReadOnlyList<string> List(string directory)
    {
        try
        {
            return [.. Directory.EnumerateFileSystemEntries(directory).Select(entry => Path.GetFileName(entry)!)];
        }
        catch (DirectoryNotFoundException)
        {
            return [];
        }
    }

    public string Read(string path) => Translate(path, () => File.ReadAllText(path));

    public void Write(string path, string text) => Translate(path, () =>
    {
        // Neither created nor truncated: configfs has only the files the kernel made, and takes what one write(2) brings.
        using var file = File.OpenHandle(path, FileMode.Open, FileAccess.Write, FileShare.ReadWrite);
        RandomAccess.Write(file, Encoding.ASCII.GetBytes(text), fileOffset: 0);
        return text;
    });

    /// <summary>EACCES and EPERM are the kernel's or an operator's matter like any other error here.</summary>
    private static string Translate(string path, Func<string> access)
    {
        try
        {
            return access();
        }
        catch (UnauthorizedAccessException e)
        {
            throw new IOException($"{path}: permission denied. Root, or CAP_SYS_ADMIN and CAP_DAC_OVERRIDE, is needed.", e);
        }
    }
}
