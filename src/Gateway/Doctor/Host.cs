using System.Globalization;
using Gateway.Serving;
using Gateway.Tcmu;

namespace Gateway.Doctor;

/// <summary>Where the host shows and keeps what is looked at. Tests put folders in their places.</summary>
internal sealed record HostRoots
{
    /// <summary>sysfs, configfs, /dev.</summary>
    public KernelRoots Kernel { get; init; } = new();

    /// <summary>procfs.</summary>
    public string Proc { get; init; } = "/proc";

    /// <summary>Configuration of other programs.</summary>
    public string Etc { get; init; } = "/etc";

    /// <summary>Folders of kernel modules, one for each release.</summary>
    public string Modules { get; init; } = "/lib/modules";
}

/// <summary>Reads what the host shows. What is not there, or may not be read, is null.</summary>
internal sealed class Host(HostRoots roots, IKernelFiles files)
{
    public HostRoots Roots => roots;

    public IKernelFiles Files => files;

    /// <summary>The kernel's release, as uname -r says it; null if procfs is not there.</summary>
    public string? KernelRelease => Read(Proc("sys/kernel/osrelease"));

    public string Sys(string path) => Path.Combine(roots.Kernel.Sysfs, path);

    public string Proc(string path) => Path.Combine(roots.Proc, path);

    public string Configfs(string path) => Path.Combine(roots.Kernel.Configfs, path);

    public bool Exists(string path) => files.Exists(path);

    /// <summary>The text of a file without spaces at its ends.</summary>
    public string? Read(string path)
    {
        try
        {
            return files.Exists(path) ? files.Read(path).Trim() : null;
        }
        catch (IOException)
        {
            return null;
        }
    }

    public long? ReadNumber(string path) => long.TryParse(Read(path), NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var number) ? number : null;

    public IEnumerable<string> List(string directory)
    {
        try
        {
            return files.List(directory).Order(StringComparer.Ordinal);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return [];
        }
    }

    /// <summary>The number behind a word at the beginning of a line, in files such as /proc/meminfo; null if there is none.</summary>
    public long? ReadField(string path, string word)
    {
        foreach (var line in (Read(path) ?? "").Split('\n'))
        {
            if (!line.StartsWith(word, StringComparison.Ordinal)) continue;
            var number = line[word.Length..].Split(' ', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries).FirstOrDefault();
            if (long.TryParse(number, NumberStyles.None, CultureInfo.InvariantCulture, out var value)) return value;
        }

        return null;
    }
}
