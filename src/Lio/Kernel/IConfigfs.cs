using Gateway.Tcmu;

namespace Gateway.Lio;

/// <summary>Access to configfs, whose directories are kernel objects. A seam: tests put a kernel of their own behind it. Paths are absolute.</summary>
/// <remarks>Any change may block as long as the kernel's handler does: a TCMU device's comes back when its daemon has replied.</remarks>
public interface IConfigfs : IKernelFiles
{
    /// <summary>Names of the subdirectories, without links; none if the directory is not there.</summary>
    IReadOnlyList<string> ListDirectories(string directory);

    /// <summary>Names of the links in a directory; none if it is not there.</summary>
    IReadOnlyList<string> ListLinks(string directory);

    /// <summary>The absolute path that a link leads to; null if it is not there.</summary>
    string? ReadLink(string path);

    /// <summary>Makes an object: one directory below an existing one.</summary>
    /// <exception cref="IOException">It exists (EEXIST), or the kernel refuses.</exception>
    void MakeDirectory(string path);

    /// <summary>Removes an object.</summary>
    /// <exception cref="IOException">Something refers to it (EBUSY) or is in it (ENOTEMPTY), or it is not there.</exception>
    void RemoveDirectory(string path);

    /// <summary>Makes a link at <paramref name="path"/> to <paramref name="target"/>.</summary>
    /// <exception cref="IOException">The kernel refuses.</exception>
    void Link(string target, string path);

    /// <summary>Removes a link.</summary>
    /// <exception cref="IOException">It is not there, or the kernel refuses.</exception>
    void Unlink(string path);
}
