using System.Globalization;

namespace Gateway.Tcmu;

/// <summary>Finds TCMU devices in sysfs, and their nodes in /dev.</summary>
/// <param name="files">Access to sysfs.</param>
/// <param name="sysfsRoot">Where sysfs is mounted: <c>/sys</c>.</param>
/// <param name="devRoot">Where device nodes are: <c>/dev</c>.</param>
/// <param name="time">Clock of the wait for a node.</param>
public sealed class UioDiscovery(IKernelFiles files, string sysfsRoot, string devRoot, TimeProvider time)
{
    /// <summary>How long a node may come after its sysfs entry: udev, or a container's device plumbing, may be behind.</summary>
    public static readonly TimeSpan NodeWaitMax = TimeSpan.FromSeconds(5);

    private static readonly TimeSpan NodeWaitStep = TimeSpan.FromMilliseconds(20);

    /// <summary>All of this program's devices that are there now, by minor. Those that vanish meanwhile are left out.</summary>
    public IReadOnlyList<UioDevice> Scan()
    {
        var devices = new List<UioDevice>();
        foreach (var entry in files.List(Path.Combine(sysfsRoot, "class/uio")))
        {
            if (!entry.StartsWith("uio", StringComparison.Ordinal)) continue;
            if (!uint.TryParse(entry.AsSpan(3), NumberStyles.None, CultureInfo.InvariantCulture, out var minor)) continue;
            if (Find(minor) is { } device && device.Name.IsGateway) devices.Add(device);
        }

        devices.Sort((left, right) => left.Minor.CompareTo(right.Minor));
        return devices;
    }

    /// <summary>The TCMU device of a minor, of any subtype; null if there is none.</summary>
    public UioDevice? Find(uint minor)
    {
        var directory = Path.Combine(sysfsRoot, "class/uio", UioName(minor));
        try
        {
            if (!TcmuDeviceName.TryParse(files.Read(Path.Combine(directory, "name")), out var name)) return null;
            var size = files.Read(Path.Combine(directory, "maps/map0/size")).Trim();
            var digits = size.StartsWith("0x", StringComparison.OrdinalIgnoreCase) ? size.AsSpan(2) : size;
            return long.TryParse(digits, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out var length) && length > 0
                ? new UioDevice(minor, name, length)
                : null;
        }
        catch (IOException)
        {
            return null; // Removed between the listing and the look.
        }
    }

    /// <summary>The path of the device's node, once it is there.</summary>
    /// <exception cref="IOException">It does not come within <see cref="NodeWaitMax"/>.</exception>
    public async Task<string> WaitForNodeAsync(UioDevice device, CancellationToken cancellationToken)
    {
        var path = Path.Combine(devRoot, UioName(device.Minor));
        var start = time.GetTimestamp();
        while (!files.Exists(path))
        {
            if (time.GetElapsedTime(start) >= NodeWaitMax)
                throw new IOException($"{path} of {device.Name} did not appear within {NodeWaitMax.TotalSeconds:0} s. Is devtmpfs or the host's /dev mounted here?");
            await Task.Delay(NodeWaitStep, time, cancellationToken);
        }

        return path;
    }

    private static string UioName(uint minor) => $"uio{minor.ToString(CultureInfo.InvariantCulture)}";
}
