using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;
using Gateway.Tcmu.Interop;

namespace Gateway.Lio.Tests;

/// <summary>The kernel died, or the process: whatever went before has happened, nothing after.</summary>
public sealed class SimulatedCrashException : Exception;

/// <summary>LIO's configfs by the kernel's rules, as far as they matter here, and stricter where a wrong order would go unnoticed.</summary>
public sealed class SimulatedKernel : IConfigfs, IModuleLoader
{
    public const string Root = "/sys/kernel/config/target";

    private const int EPERM = 1;
    private const int ENOENT = 2;
    private const int EBUSY = 16;
    private const int EEXIST = 17;
    private const int ENODEV = 19;
    private const int EINVAL = 22;
    private const int ENOTEMPTY = 39;

    private readonly Lock _lock = new();
    private readonly KernelObject _root;
    private readonly Dictionary<string, string> _discovery = [];

    public SimulatedKernel()
    {
        _root = new KernelObject(null, Root, KernelRole.Root, made: false);
        var core = _root.Group("core", KernelRole.Core);
        core.Group("alua").Group("lu_gps", KernelRole.UnitGroups).Group("default_lu_gp");
    }

    /// <summary>Modules that this kernel has; those in <see cref="Loaded"/> are loaded.</summary>
    public HashSet<string> Available { get; } = ["target_core_user", "iscsi_target_mod", "tcm_loop", "vhost_scsi"];

    public HashSet<string> Loaded { get; } = ["target_core_mod"];

    /// <summary>Whether the daemon opens the volume of a configuration string.</summary>
    public Func<string, bool> DaemonOpens { get; set; } = config => config.StartsWith("gateway/", StringComparison.Ordinal);

    /// <summary>Unset: the daemon does not answer, and who enables or removes a device waits.</summary>
    public ManualResetEventSlim DaemonAnswers { get; } = new(true);

    /// <summary>After so many changes comes the crash; negative: never.</summary>
    public int CrashAfter { get; set; } = -1;

    /// <summary>Every change, in order.</summary>
    public List<string> Changes { get; } = [];

    public KernelObject Target => _root;

    public bool Exists(string path)
    {
        lock (_lock)
        {
            if (path.StartsWith("/sys/module/", StringComparison.Ordinal)) return Loaded.Contains(path["/sys/module/".Length..]);
            return Find(path) is not null || Find(Parent(path)) is { } parent && (parent.Files.ContainsKey(Name(path)) || parent.Links.ContainsKey(Name(path)));
        }
    }

    public IReadOnlyList<string> List(string directory)
    {
        lock (_lock) return Find(directory) is { } d ? [.. d.Children.Keys, .. d.Files.Keys, .. d.Links.Keys] : [];
    }

    public IReadOnlyList<string> ListDirectories(string directory)
    {
        lock (_lock) return Find(directory) is { } d ? [.. d.Children.Keys] : [];
    }

    public IReadOnlyList<string> ListLinks(string directory)
    {
        lock (_lock) return Find(directory) is { } d ? [.. d.Links.Keys] : [];
    }

    public string? ReadLink(string path)
    {
        lock (_lock) return Find(Parent(path)) is { } d && d.Links.TryGetValue(Name(path), out var target) ? target.Path : null;
    }

    public string Read(string path)
    {
        lock (_lock) return (FileAt(path).Read ?? throw new ErrnoException("read", EPERM))();
    }

    public void Write(string path, string text)
    {
        KernelAttribute file;
        lock (_lock)
        {
            file = FileAt(path);
            if (file.Write is null) throw new ErrnoException("write", EPERM);
            Change($"write {path}");
        }

        if (path.EndsWith("/enable", StringComparison.Ordinal) && path.Contains("/core/user_", StringComparison.Ordinal)) DaemonAnswers.Wait();
        lock (_lock) file.Write(text);
    }

    public void MakeDirectory(string path)
    {
        lock (_lock)
        {
            var parent = Find(Parent(path)) ?? throw new ErrnoException("mkdir", ENOENT);
            var name = Name(path);
            if (parent.Children.ContainsKey(name)) throw new ErrnoException("mkdir", EEXIST);
            Change($"mkdir {path}");
            var made = Make(parent, name);
            parent.Children.Add(name, made);
        }
    }

    public void RemoveDirectory(string path)
    {
        KernelObject item;
        lock (_lock)
        {
            item = Find(path) ?? throw new ErrnoException("rmdir", ENOENT);
            if (!item.Made) throw new ErrnoException("rmdir", EPERM);
            if (Links().Any(l => l.Target == item)) throw new ErrnoException("rmdir", EBUSY);
            if (item.Tree().Any(o => o.Links.Count > 0 || (o != item && o.Made))) throw new ErrnoException("rmdir", ENOTEMPTY);
            Change($"rmdir {path}");
        }

        if (item is { Role: KernelRole.Device, Live: true } && item.Parent!.Name.StartsWith("user_", StringComparison.Ordinal)) DaemonAnswers.Wait();
        lock (_lock) item.Parent!.Children.Remove(item.Name);
    }

    public void Link(string target, string path)
    {
        lock (_lock)
        {
            var parent = Find(Parent(path)) ?? throw new ErrnoException("symlink", ENOENT);
            var to = Find(target) ?? throw new ErrnoException("symlink", ENOENT);
            if (parent.Links.Count > 0) throw new ErrnoException("symlink", EEXIST);
            switch (parent.Role)
            {
                case KernelRole.Lun:
                    if (to.Role != KernelRole.Device || !to.Live) throw new ErrnoException("symlink", ENODEV);
                    break;
                case KernelRole.MappedLun:
                    // acls/INITIATOR/lun_N and lun/lun_N of the same group.
                    if (to.Role != KernelRole.Lun || to.Links.Count == 0 || to.Parent!.Parent != parent.Parent!.Parent!.Parent) throw new ErrnoException("symlink", EINVAL);
                    break;
                default:
                    throw new ErrnoException("symlink", EPERM);
            }

            Change($"ln {path}");
            parent.Links.Add(Name(path), to);
            if (parent.Role == KernelRole.MappedLun)
            {
                parent.Live = true;
                parent.Values["write_protect"] = GroupOf(parent).Children["attrib"].Values["prod_mode_write_protect"];
            }
            else
            {
                // A loopback LUN shows up when it is linked under a nexus, not later.
                parent.Live = !GroupOf(parent).Files.ContainsKey("nexus") || GroupOf(parent).Values.ContainsKey("nexus");
            }
        }
    }

    public void Unlink(string path)
    {
        lock (_lock)
        {
            var parent = Find(Parent(path));
            if (parent is null || !parent.Links.ContainsKey(Name(path))) throw new ErrnoException("unlink", ENOENT);
            Change($"rm {path}");
            parent.Links.Remove(Name(path));
            parent.Live = false;
            if (parent.Role != KernelRole.Lun) return;
            foreach (var mapped in Links().Where(l => l.Target == parent).ToList()) mapped.From.Live = false;
        }
    }

    public void Load(string module)
    {
        lock (_lock)
        {
            if (!Available.Contains(module)) throw new IOException($"this kernel does not load the module {module}");
            Change($"modprobe {module}");
            Loaded.Add(module);
        }
    }

    /// <summary>All that is there, as text. HBA numbers of the reconciler's are left out, since any will do; so is who made the fabric, which may come before us.</summary>
    public string Dump()
    {
        var text = new StringBuilder();
        lock (_lock) Dump(_root, text);
        var lines = text.ToString().Split('\n').Select(line => System.Text.RegularExpressions.Regex.Replace(line, "user_77[0-9]{4}", "user_X")).Where(line => !line.EndsWith("/tcmu-gateway~iscsi", StringComparison.Ordinal)).Distinct();
        return string.Join('\n', lines.Order(StringComparer.Ordinal));
    }

    public KernelObject? Find(string path)
    {
        if (!path.StartsWith(Root, StringComparison.Ordinal)) return null;
        KernelObject? at = _root;
        foreach (var name in path[Root.Length..].Split('/', StringSplitOptions.RemoveEmptyEntries))
        {
            if (at is null || !at.Children.TryGetValue(name, out var next)) return null;
            at = next;
        }

        return at;
    }

    private static string Parent(string path) => path[..path.LastIndexOf('/')];

    private static string Name(string path) => path[(path.LastIndexOf('/') + 1)..];

    private static void Dump(KernelObject item, StringBuilder text)
    {
        text.Append(item.Path).Append(item.Role is KernelRole.Device or KernelRole.Group or KernelRole.Lun or KernelRole.MappedLun ? $" live={item.Live}" : "").Append('\n');
        foreach (var (name, target) in item.Links) text.Append(CultureInfo.InvariantCulture, $"{item.Path} -> {target.Path}\n");
        foreach (var (name, value) in item.Values) text.Append(CultureInfo.InvariantCulture, $"{item.Path}/{name} = {(value == "NULL" ? "" : value)}\n");
        foreach (var child in item.Children.Values) Dump(child, text);
    }

    private static KernelObject GroupOf(KernelObject item) => item.Role == KernelRole.Group ? item : GroupOf(item.Parent!);

    private IEnumerable<(KernelObject From, KernelObject Target)> Links() => _root.Tree().SelectMany(o => o.Links.Values.Select(t => (o, t)));

    private bool IsExported(KernelObject device) => Links().Any(l => l.Target == device);

    private KernelAttribute FileAt(string path) =>
        Find(Parent(path)) is { } d && d.Files.TryGetValue(Name(path), out var file) ? file : throw new ErrnoException("open", ENOENT);

    private void Change(string what)
    {
        if (CrashAfter == 0) throw new SimulatedCrashException();
        if (CrashAfter > 0) CrashAfter--;
        Changes.Add(what);
    }

    private KernelObject Make(KernelObject parent, string name)
    {
        ErrnoException Refused(int errno) => new("mkdir", errno);
        KernelObject New(KernelRole role) => new(parent, name, role, made: true);
        bool Is(string prefix) => name.StartsWith(prefix, StringComparison.Ordinal) && ushort.TryParse(name[prefix.Length..], NumberStyles.None, CultureInfo.InvariantCulture, out _);
        switch (parent.Role)
        {
            case KernelRole.Root:
                return MakeFabric(New(KernelRole.Fabric));
            case KernelRole.UnitGroups:
                return New(KernelRole.UnitGroup);
            case KernelRole.Core:
                return name.Split('_') is ["user" or "fileio", var number] && uint.TryParse(number, out _) && (name[0] != 'u' || Loaded.Contains("target_core_user")) ? New(KernelRole.Hba) : throw Refused(EINVAL);
            case KernelRole.Hba:
                return MakeDevice(New(KernelRole.Device));
            case KernelRole.Fabric:
                var target = New(KernelRole.Target);
                target.Group("fabric_statistics");
                return target;
            case KernelRole.Target:
                return Is("tpgt_") ? MakeGroup(New(KernelRole.Group)) : throw Refused(EINVAL);
            case KernelRole.Luns:
                if (!Is("lun_")) throw Refused(EINVAL);
                var lun = New(KernelRole.Lun);
                lun.Group("statistics");
                return lun;
            case KernelRole.Acls:
                return MakeAcl(New(KernelRole.Acl));
            case KernelRole.Acl:
                if (!Is("lun_")) throw Refused(EINVAL);
                var mapped = New(KernelRole.MappedLun);
                mapped.Value("write_protect", "", text => mapped.Live && text is "0" or "1" ? text : throw new ErrnoException("write", EINVAL));
                mapped.Files["write_protect"] = mapped.Files["write_protect"] with { Read = () => mapped.Live ? mapped.Values["write_protect"] + "\n" : "" };
                return mapped;
            case KernelRole.Portals:
                if (!IPEndPoint.TryParse(name, out var endPoint) || endPoint.Port == 0 || _root.Tree().Any(o => o.Role == KernelRole.Portal && Conflict(endPoint, o, parent))) throw Refused(EINVAL);
                return New(KernelRole.Portal);
            default:
                throw Refused(EPERM);
        }
    }

    private static bool Conflict(IPEndPoint endPoint, KernelObject portal, KernelObject portals)
    {
        var other = IPEndPoint.Parse(portal.Name);
        if (other.Equals(endPoint)) return portal.Parent!.Parent!.Parent == portals.Parent!.Parent; // Another target may share it.
        static bool Any(IPAddress a, IPAddress b) => a.Equals(IPAddress.IPv6Any) || (a.Equals(IPAddress.Any) && b.AddressFamily == AddressFamily.InterNetwork);
        return other.Port == endPoint.Port && (Any(other.Address, endPoint.Address) || Any(endPoint.Address, other.Address));
    }

    private KernelObject MakeFabric(KernelObject fabric)
    {
        var module = fabric.Name switch
        {
            "iscsi" => "iscsi_target_mod",
            "loopback" => "tcm_loop",
            "vhost" => "vhost_scsi",
            _ => throw new ErrnoException("mkdir", EINVAL),
        };
        if (!Available.Contains(module)) throw new ErrnoException("mkdir", EINVAL);
        Loaded.Add(module); // The kernel asks for it by itself.
        if (fabric.Name != "iscsi") return fabric;
        var discovery = fabric.Group("discovery_auth");
        foreach (var file in new[] { "userid", "password", "userid_mutual", "password_mutual" }) AddChap(discovery, file);
        discovery.Value("enforce_discovery_auth", "0", Bit);

        // It is the module's, and outlives the directory.
        foreach (var (file, value) in _discovery) discovery.Values[file] = value;
        foreach (var file in discovery.Files.Keys.ToList())
        {
            var inner = discovery.Files[file];
            discovery.Files[file] = inner with
            {
                Write = text =>
                {
                    inner.Write!(text);
                    _discovery[file] = discovery.Values[file];
                },
            };
        }

        return fabric;
    }

    private KernelObject MakeDevice(KernelObject device)
    {
        void WhileUnexported()
        {
            if (IsExported(device)) throw new ErrnoException("write", EINVAL);
        }

        var attributes = device.Group("attrib");
        foreach (var group in new[] { "action", "pr", "statistics", "alua" }) device.Group(group);
        var tcmu = device.Parent!.Name.StartsWith("user_", StringComparison.Ordinal);
        string? WhenEnabled(string text) => device.Live || !tcmu ? text : throw new ErrnoException("write", EINVAL); // Stricter: some kernels crash.
        foreach (var (name, value) in new[] { ("dev_config", ""), ("hw_block_size", "512"), ("hw_max_sectors", "128"), ("max_data_area_mb", "1024") })
        {
            attributes.Values[name] = value;
            attributes.ReadOnly(name, () => attributes.Values[name] + "\n");
        }

        attributes.Value("dev_size", "0", WhenEnabled);
        attributes.Value("qfull_time_out", "-1", WhenEnabled);
        attributes.Value("tmr_notification", "0", WhenEnabled);
        attributes.Value("emulate_write_cache", "0", WhenEnabled);
        attributes.Value("cmd_time_out", "30", text =>
        {
            WhileUnexported();
            return WhenEnabled(text);
        });
        var wwn = device.Group("wwn");
        wwn.Value("vpd_unit_serial", "", text =>
        {
            WhileUnexported();
            return text;
        });
        wwn.Files["vpd_unit_serial"] = wwn.Files["vpd_unit_serial"] with { Read = () => $"T10 VPD Unit Serial Number: {wwn.Values["vpd_unit_serial"]}\n" };
        device.Files["control"] = new KernelAttribute(null, text =>
        {
            if (device.Live) throw new ErrnoException("write", EINVAL);
            foreach (var option in text.Split(',', '\n'))
            {
                var parts = option.Split('=', 2);
                if (parts.Length != 2 || !attributes.Values.ContainsKey(parts[0])) throw new ErrnoException("write", EINVAL);
                attributes.Values[parts[0]] = parts[1];
            }
        });
        device.Files["enable"] = new KernelAttribute(() => device.Live ? "1\n" : "0\n", text =>
        {
            if (device.Live || text != "1") throw new ErrnoException("write", EINVAL);
            if (tcmu && (attributes.Values["dev_config"].Length == 0 || attributes.Values["dev_size"] == "0")) throw new ErrnoException("write", EINVAL);
            if (tcmu && !DaemonOpens(attributes.Values["dev_config"])) throw new ErrnoException("write", ENOENT);
            device.Live = true;
        });
        return device;
    }

    private static string? Bit(string text) => text is "0" or "1" ? text : throw new ErrnoException("write", EINVAL);

    private static void AddChap(KernelObject auth, string file)
    {
        auth.Value(file, "");
        auth.Files[file] = auth.Files[file] with
        {
            Write = text => auth.Values[file] = text.Length < 256 ? text : throw new ErrnoException("write", EINVAL), // A newline would stay.
        };
    }

    private static KernelObject MakeGroup(KernelObject group)
    {
        group.Group("lun", KernelRole.Luns);
        group.Group("acls", group.Parent!.Parent!.Name == "iscsi" ? KernelRole.Acls : KernelRole.Plain);
        group.Group("np", group.Parent!.Parent!.Name == "iscsi" ? KernelRole.Portals : KernelRole.Plain);
        var attributes = group.Group("attrib");
        var parameters = group.Group("param");
        var auth = group.Group("auth");
        if (group.Parent.Parent.Name != "iscsi")
        {
            AddNexus(group);
            return group;
        }

        foreach (var file in new[] { "userid", "password", "userid_mutual", "password_mutual" }) AddChap(auth, file);
        foreach (var (name, value) in new[]
        {
            ("AuthMethod", "CHAP,None"), ("MaxRecvDataSegmentLength", "8192"), ("MaxXmitDataSegmentLength", "262144"), ("MaxBurstLength", "262144"), ("FirstBurstLength", "65536"),
            ("InitialR2T", "Yes"), ("ImmediateData", "Yes"), ("MaxOutstandingR2T", "1"), ("DefaultTime2Wait", "2"), ("DefaultTime2Retain", "20"),
        })
        {
            parameters.Value(name, value);
        }

        attributes.Value("demo_mode_write_protect", "1", Bit);
        attributes.Value("prod_mode_write_protect", "0", Bit);
        attributes.Value("demo_mode_discovery", "1", Bit);
        attributes.Value("default_cmdsn_depth", "64", text => int.Parse(text, CultureInfo.InvariantCulture) is >= 1 and <= 512 ? text : throw new ErrnoException("write", EINVAL));
        attributes.Value("cache_dynamic_acls", "0", text => Bit(text) == "0" && attributes.Values["generate_node_acls"] == "1" ? null : text);
        attributes.Value("generate_node_acls", "0", text =>
        {
            if (Bit(text) == "1") attributes.Values["cache_dynamic_acls"] = "1";
            return text;
        });
        attributes.Value("authentication", "1", text =>
        {
            var methods = parameters.Values["AuthMethod"];
            if (Bit(text) == "1")
            {
                // iscsit_ta_authentication writes in front of its buffer then.
                if (methods == "None") throw new InvalidOperationException("The kernel would corrupt its stack: authentication while AuthMethod is None alone.");
                parameters.Values["AuthMethod"] = methods.Replace(",None", "", StringComparison.Ordinal);
            }
            else if (!methods.Contains("None", StringComparison.Ordinal))
            {
                parameters.Values["AuthMethod"] = methods + ",None";
            }

            return text;
        });
        group.Files["enable"] = new KernelAttribute(() => group.Live ? "1\n" : "0\n", text =>
        {
            if (text is not ("0" or "1") || group.Live == (text == "1")) throw new ErrnoException("write", EINVAL);
            group.Live = text == "1";
        });
        return group;
    }

    private static void AddNexus(KernelObject group) => group.Files["nexus"] = new KernelAttribute(
        () => group.Values.TryGetValue("nexus", out var name) ? name + "\n" : throw new ErrnoException("read", ENODEV),
        text =>
        {
            if (text == "NULL")
            {
                if (!group.Values.ContainsKey("nexus")) throw new ErrnoException("write", ENODEV);
                if (group.Children["lun"].Children.Values.Any(l => l.Links.Count > 0)) throw new ErrnoException("write", EPERM);
                group.Values.Remove("nexus");
                return;
            }

            if (!text.StartsWith("naa.", StringComparison.Ordinal)) throw new ErrnoException("write", EINVAL);
            if (!group.Values.TryAdd("nexus", text)) throw new ErrnoException("write", EEXIST);
        });

    private static KernelObject MakeAcl(KernelObject acl)
    {
        acl.Value("cmdsn_depth", GroupOf(acl.Parent!).Children["attrib"].Values["default_cmdsn_depth"]);
        acl.Group("attrib").Value("authentication", "-1");
        acl.Group("param");
        acl.Group("fabric_statistics");
        var auth = acl.Group("auth");
        foreach (var file in new[] { "userid", "password", "userid_mutual", "password_mutual" }) AddChap(auth, file);
        return acl;
    }
}
