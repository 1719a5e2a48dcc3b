using System.Globalization;

namespace Gateway.Lio;

/// <summary>A declared backstore and its place in configfs.</summary>
/// <param name="Path">Its directory below the target's root.</param>
/// <param name="Unexport">Whether its LUNs must go for a moment, since the kernel fixes what has to change while it is exported.</param>
internal sealed record PlacedBackstore(Backstore Backstore, string Path, bool Unexport);

/// <summary>Plans TCMU devices: <c>core/user_N/NAME</c>, each under an HBA of its own, so that one that hangs holds up no other.</summary>
internal sealed class BackstorePlanner(PlanBuilder plan)
{
    /// <summary>The first HBA number that is taken; targetcli counts from 0.</summary>
    private const int HbaFirst = 770000;

    private const string Remedy = "See the kernel's log (dmesg), and that of the gateway.";
    private const string EnableRemedy = "Is 'tcmu-gateway serve' running, and what does its log say of the volume?";
    private const string RemoveRemedy = "Something still uses the device: a LUN of another target (targetcli ls), or a daemon that does not answer.";

    private readonly Dictionary<string, PlacedBackstore> _placed = new(StringComparer.Ordinal);
    private readonly Dictionary<string, PlanPart> _parts = new(StringComparer.Ordinal);

    /// <summary>The declared backstores that can be had, by name.</summary>
    public IReadOnlyDictionary<string, PlacedBackstore> Placed => _placed;

    /// <summary>The part that has a placed backstore ready for export.</summary>
    public PlanPart PartOf(string name) => _parts[name];

    /// <summary>Finds each backstore's place; plans nothing.</summary>
    public void Place(IEnumerable<Backstore> backstores)
    {
        var devices = Devices().ToList();
        foreach (var backstore in backstores) Place(backstore, devices);
    }

    /// <summary>Plans the removal of what is ours and has no declared backstore.</summary>
    public void RemoveOthers(IReadOnlySet<string> keepNames, PlanPart?[] after)
    {
        var kept = _placed.Values.Select(p => p.Path).ToHashSet(StringComparer.Ordinal);
        foreach (var path in plan.Owned.Where(IsDevice).Where(path => !kept.Contains(path)).ToList())
        {
            var name = Path.GetFileName(path);
            if (keepNames.Contains(name) && !_placed.ContainsKey(name)) continue; // Declared, but faulty: left as it is.
            Remove(path, after);
        }
    }

    /// <summary>Plans what makes the placed backstores as declared.</summary>
    public void Make()
    {
        foreach (var placed in _placed.Values) _parts[placed.Backstore.Name] = Make(placed);
    }

    private static bool IsDevice(string path) => path.Split('/') is ["core", _, _];

    private static bool IsInOurHba(string path) =>
        path.Split('/')[1] is var hba && int.TryParse(hba.AsSpan(hba.IndexOf('_', StringComparison.Ordinal) + 1), NumberStyles.None, CultureInfo.InvariantCulture, out var number) && number >= HbaFirst;

    private static string Text(long value) => value.ToString(CultureInfo.InvariantCulture);

    private IEnumerable<string> Devices() =>
        from hba in plan.Directories("core")
        where hba.StartsWith("user_", StringComparison.Ordinal)
        from name in plan.Directories($"core/{hba}")
        select $"core/{hba}/{name}";

    private bool IsEnabled(string path) => plan.Read($"{path}/enable") == "1";

    private long? Number(string path) => long.TryParse(plan.Read(path), NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var number) ? number : null;

    private void Place(Backstore backstore, List<string> devices)
    {
        var item = ItemNames.Of(backstore);
        bool HasConfig(string device) => plan.Read($"{device}/attrib/dev_config") == backstore.Config;
        bool IsOurs(string device) => Path.GetFileName(device) == backstore.Name
            ? !plan.Exists(device) || !IsEnabled(device) || HasConfig(device)
            : !IsInOurHba(device) && HasConfig(device); // Taken over earlier, with the name that it had.
        var path = plan.Owned.Where(IsDevice).FirstOrDefault(IsOurs);
        if (path is null && devices.Find(p => !plan.Owned.Contains(p) && HasConfig(p)) is { } foreign)
        {
            if (!OwnershipMarks.CanMark(foreign) || !IsEnabled(foreign))
            {
                plan.Fail(item, $"{plan.At(foreign)} is of the same volume, was made by somebody else, and cannot be taken over{(IsEnabled(foreign) ? "" : ": it is not enabled")}. Remove it there.");
                return;
            }

            path = foreign;
        }

        path ??= $"core/user_{Text(FreeHba())}/{backstore.Name}";
        if (IsEnabled(path) && FixedDifference(backstore, path) is { } difference)
        {
            plan.Fail(item, difference);
            return;
        }

        var serial = SerialOf(path);
        var unexport = IsEnabled(path) && (serial != backstore.UnitSerial.ToString() || Number($"{path}/attrib/cmd_time_out") is { } timeout && timeout != backstore.CommandTimeoutSeconds);
        _placed.Add(backstore.Name, new PlacedBackstore(backstore, path, unexport));
    }

    private string? SerialOf(string path) => plan.Read($"{path}/wwn/vpd_unit_serial") is { } text && text.IndexOf(':', StringComparison.Ordinal) is >= 0 and var colon ? text[(colon + 1)..].Trim() : null;

    /// <summary>What differs between a device and its declaration that only a new device could have.</summary>
    private string? FixedDifference(Backstore backstore, string path)
    {
        if (Number($"{path}/attrib/hw_block_size") is { } block && block != backstore.BlockSizeBytes)
            return $"the device has blocks of {block} bytes, {backstore.BlockSizeBytes} are declared, and the kernel cannot change them. Take it and its LUNs out of the declaration once, then declare them again.";
        return Number($"{path}/attrib/dev_size") is { } size && size > backstore.SizeBytes
            ? $"the device has {size} bytes, {backstore.SizeBytes} are declared, and a device in use does not shrink. Take it and its LUNs out of the declaration once, then declare them again."
            : null;
    }

    private int FreeHba()
    {
        var number = HbaFirst;
        bool Taken(int n) => plan.Exists($"core/user_{Text(n)}") || plan.Owned.Any(p => p.StartsWith($"core/user_{Text(n)}/", StringComparison.Ordinal))
            || _placed.Values.Any(p => p.Path.StartsWith($"core/user_{Text(n)}/", StringComparison.Ordinal));
        while (Taken(number)) number++;
        return number;
    }

    private PlanPart Make(PlacedBackstore placed)
    {
        var (backstore, path) = (placed.Backstore, placed.Path);
        var item = ItemNames.Of(backstore);
        var part = plan.Part(item, Remedy, plan.EnsureCore());
        plan.LoadModule(part, "target_core_user");
        plan.Mark(part, path);
        plan.MakeDirectory(part, Path.GetDirectoryName(path)!);
        plan.MakeDirectory(part, path);
        if (!IsEnabled(path))
        {
            plan.Write(part, $"{path}/control", $"dev_size={Text(backstore.SizeBytes)},hw_block_size={Text(backstore.BlockSizeBytes)},hw_max_sectors={Text(backstore.TransferMaxBytes / backstore.BlockSizeBytes)}");
            plan.Write(part, $"{path}/control", $"max_data_area_mb={Text(backstore.DataAreaMebibytes)}");
            plan.Write(part, $"{path}/control", $"dev_config={backstore.Config}"); // Kept as it comes: no newline, and the last of its write.
            part = plan.Part(item, EnableRemedy, part);
            plan.Write(part, $"{path}/enable", "1"); // Comes back when the daemon has opened the volume.
            part = plan.Part(item, Remedy, part);
        }
        else
        {
            WarnOfFixed(item, $"{path}/attrib/hw_max_sectors", backstore.TransferMaxBytes / backstore.BlockSizeBytes);
            WarnOfFixed(item, $"{path}/attrib/max_data_area_mb", backstore.DataAreaMebibytes);
            if (Number($"{path}/attrib/dev_size") is { } size && size < backstore.SizeBytes)
            {
                part = plan.Part(item, EnableRemedy, part);
                plan.Set(part, $"{path}/attrib/dev_size", backstore.SizeBytes);
            }
        }

        plan.Set(part, $"{path}/attrib/cmd_time_out", backstore.CommandTimeoutSeconds); // Refused while exported.
        plan.Set(part, $"{path}/attrib/qfull_time_out", backstore.QueueFullTimeoutSeconds);
        plan.Set(part, $"{path}/attrib/tmr_notification", true);
        if (backstore.WriteCache is { } writeCache) plan.Set(part, $"{path}/attrib/emulate_write_cache", writeCache);
        if (SerialOf(path) != backstore.UnitSerial.ToString()) plan.Write(part, $"{path}/wwn/vpd_unit_serial", backstore.UnitSerial.ToString()); // Refused while exported.
        return part;
    }

    private void WarnOfFixed(string item, string attribute, long declared)
    {
        if (Number(attribute) is { } actual && actual != declared)
            plan.Warn(item, $"{Path.GetFileName(attribute)} is {actual}, {declared} is declared; it changes when the device is made anew (after a reboot, for instance).");
    }

    private void Remove(string path, PlanPart?[] after)
    {
        var item = ItemNames.Backstore(Path.GetFileName(path));
        var part = plan.Part(item, RemoveRemedy, after);
        var hba = Path.GetDirectoryName(path)!;
        if (plan.Exists(path)) plan.RemoveDirectory(part, path); // Comes back when the daemon has closed the volume.
        if (IsInOurHba(path) && plan.Exists(hba) && plan.Directories(hba).Count == 0) plan.RemoveDirectory(part, hba);
        plan.Unmark(part, path);
    }
}
