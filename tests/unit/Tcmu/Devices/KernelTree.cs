namespace Gateway.Tcmu.Tests.Devices;

/// <summary>sysfs, configfs and /dev in a temporary directory; records writes, and makes them fail on demand.</summary>
internal sealed class KernelTree : IKernelFiles, IDisposable
{
    public static readonly TcmuDeviceName Disk = TcmuDeviceName.Parse("tcm-user/1/disk/gateway/store/vol");

    private readonly KernelFiles _files = new();

    public string Root { get; } = Directory.CreateTempSubdirectory("tcmu-tree").FullName;

    public string Sysfs => Path.Combine(Root, "sys");

    public string Configfs => Path.Combine(Root, "config");

    public string Dev => Path.Combine(Root, "dev");

    /// <summary>Writes as "file=text", with the last element of the path, in order.</summary>
    public List<string> Writes { get; } = [];

    /// <summary>How many times a write, as in <see cref="Writes"/>, still fails.</summary>
    public Dictionary<string, int> Failures { get; } = [];

    /// <summary>The device's enabling waits for a reply: its actions are refused with EINVAL, as seen on 6.1.</summary>
    public bool IsNotEnabled { get; set; }

    public KernelTree Put(string path, string text)
    {
        path = Path.Combine(Root, path);
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        File.WriteAllText(path, text);
        return this;
    }

    public KernelTree PutUio(uint minor, string name, string size = "0x40800000\n") =>
        Put($"sys/class/uio/uio{minor}/name", name + "\n").Put($"sys/class/uio/uio{minor}/maps/map0/size", size);

    public KernelTree PutActions() => Put($"config/{Disk.ConfigfsPath}/action/block_dev", "0").Put($"config/{Disk.ConfigfsPath}/action/reset_ring", "");

    public bool Exists(string path) => _files.Exists(path);

    public IReadOnlyList<string> List(string directory) => _files.List(directory);

    public string Read(string path) => _files.Read(path);

    public void Write(string path, string text)
    {
        var write = $"{Path.GetFileName(path)}={text}";
        Writes.Add(write);
        if (IsNotEnabled && path.Contains("/action/", StringComparison.Ordinal)) throw new IOException("Invalid argument", 22);
        if (Failures.TryGetValue(write, out var left) && left > 0)
        {
            Failures[write] = left - 1;
            throw new IOException($"{write} fails as told");
        }

        _files.Write(path, text);
    }

    public void Dispose() => Directory.Delete(Root, recursive: true);
}
