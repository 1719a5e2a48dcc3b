using System.ComponentModel.DataAnnotations;
using System.Net;
using System.Text.RegularExpressions;
using Gateway.Targets;
using Gateway.Volumes;

namespace Gateway.Configuration;

/// <summary>What the kernel's target (LIO) exports of the volumes: made, kept and removed by the daemon.</summary>
internal sealed partial record TargetsSection
{
    /// <summary>Put before the names of targets that 'target export' makes. Default iqn.2025-01.org.tcmu-gateway.</summary>
    public string IqnPrefix { get; set; } = "iqn.2025-01.org.tcmu-gateway";

    /// <summary>iSCSI targets by their iSCSI qualified names (RFC 3720, 3.2.6.3.1).</summary>
    public Dictionary<string, IscsiTargetSection> Iscsi { get; set; } = [];

    /// <summary>SCSI disks of this host (tcm_loop), by a name of yours or a WWN (naa.5…).</summary>
    public Dictionary<string, LocalTargetSection> Loopback { get; set; } = [];

    /// <summary>Targets for virtual machines of this host (vhost-scsi), by a name of yours or a WWN (naa.5…).</summary>
    public Dictionary<string, LocalTargetSection> Vhost { get; set; } = [];

    /// <summary>Who may ask what targets there are. Default: everybody.</summary>
    public DiscoverySection Discovery { get; set; } = new();

    /// <summary>True if nothing is to be exported.</summary>
    [System.Text.Json.Serialization.JsonIgnore]
    public bool IsEmpty => Iscsi.Count == 0 && Loopback.Count == 0 && Vhost.Count == 0;

    /// <summary>The volumes that are exported.</summary>
    [System.Text.Json.Serialization.JsonIgnore]
    public IEnumerable<string> Volumes => Iscsi.Values.SelectMany(t => t.Luns).Concat(Loopback.Values.SelectMany(t => t.Luns)).Concat(Vhost.Values.SelectMany(t => t.Luns)).Select(l => l.Volume).Distinct(StringComparer.Ordinal);

    /// <summary>Every CHAP user that is configured, with where.</summary>
    [System.Text.Json.Serialization.JsonIgnore]
    public IEnumerable<(string Setting, ChapSection Chap)> Chaps
    {
        get
        {
            var all = Iscsi.SelectMany(t => Pair($"iscsi.{t.Key}", t.Value.Chap, t.Value.MutualChap)
                .Concat(t.Value.Initiators.SelectMany(i => Pair($"iscsi.{t.Key}.initiators.{i.Key}", i.Value.Chap, i.Value.MutualChap))));
            return all.Concat(Pair("discovery", Discovery.Chap, Discovery.MutualChap));
        }
    }

    public static bool IsIscsiName(string name) => name.Length <= 223 && IscsiName().IsMatch(name);

    /// <summary>What is wrong with each setting; and if nothing is, with all of them together.</summary>
    public IEnumerable<string> Faults(IReadOnlyDictionary<string, StoreSection> stores)
    {
        var faults = SettingFaults(stores).ToArray();
        return faults.Length > 0 ? faults : DesiredTargets.Faults(this).Select(f => f.ToString().Replace(" target ", ".", StringComparison.Ordinal));
    }

    private IEnumerable<string> SettingFaults(IReadOnlyDictionary<string, StoreSection> stores)
    {
        if (!IsIscsiName(IqnPrefix)) yield return "iqnPrefix: must be like iqn.2025-01.org.example (lower case)";
        foreach (var (name, target) in Iscsi)
        {
            if (!IsIscsiName(name)) yield return $"iscsi.{name}: must be an iSCSI name such as iqn.2025-01.org.example:disks (lower case, digits, '.', '-', ':')";
            foreach (var fault in target.Faults(stores)) yield return $"iscsi.{name}.{fault}";
        }

        foreach (var (kind, targets) in ((string, Dictionary<string, LocalTargetSection>)[])[("loopback", Loopback), ("vhost", Vhost)])
        {
            foreach (var (name, target) in targets)
            {
                if (!LocalName().IsMatch(name)) yield return $"{kind}.{name}: must be a name of lower-case letters, digits and '-', or a WWN such as naa.5001405000000001";
                foreach (var fault in LunSection.Faults(target.Luns, stores)) yield return $"{kind}.{name}.{fault}";
            }
        }

        foreach (var fault in Discovery.Faults()) yield return $"discovery.{fault}";
    }

    private static IEnumerable<(string, ChapSection)> Pair(string setting, ChapSection? chap, ChapSection? mutual)
    {
        if (chap is not null) yield return ($"{setting}.chap", chap);
        if (mutual is not null) yield return ($"{setting}.mutualChap", mutual);
    }

    [GeneratedRegex(@"^(iqn\.[0-9]{4}-(0[1-9]|1[0-2])\.[a-z0-9.-]+(:[a-z0-9.:-]+)?|eui\.[0-9a-f]{16}|naa\.([0-9a-f]{16}|[0-9a-f]{32}))\z")]
    private static partial Regex IscsiName();

    [GeneratedRegex(@"^(naa\.5[0-9a-f]{15}|[a-z0-9][a-z0-9-]{0,62})\z")]
    private static partial Regex LocalName();
}

/// <summary>One iSCSI target.</summary>
internal sealed record IscsiTargetSection
{
    public static readonly string[] AllPortals = ["0.0.0.0:3260"];

    /// <summary>ADDRESS[:PORT] where it is reached; IPv6 as [::1] or [::1]:3260. Default 0.0.0.0:3260.</summary>
    public List<string> Portals { get; set; } = [.. AllPortals];

    /// <summary>Its logical units.</summary>
    public List<LunSection> Luns { get; set; } = [];

    /// <summary>The initiators that may log in, by their iSCSI names. Default none: any may.</summary>
    public Dictionary<string, InitiatorSection> Initiators { get; set; } = [];

    /// <summary>What any initiator must know, when none are listed.</summary>
    public ChapSection? Chap { get; set; }

    /// <summary>What the target proves in return; with chap.</summary>
    public ChapSection? MutualChap { get; set; }

    /// <summary>Session parameters (RFC 7143) and CommandDepth, such as MaxBurstLength, instead of our own choice.</summary>
    public Dictionary<string, string> Parameters { get; set; } = [];

    public IEnumerable<string> Faults(IReadOnlyDictionary<string, StoreSection> stores)
    {
        if (Portals.Count == 0) yield return "portals: at least one is needed, for example 0.0.0.0:3260";
        foreach (var portal in Portals.Where(p => !TryParsePortal(p, out _))) yield return $"portals: '{portal}' is no ADDRESS:PORT; write 192.0.2.1:3260 or [2001:db8::1]:3260";
        foreach (var fault in LunSection.Faults(Luns, stores)) yield return fault;
        _ = SessionSettings.Parse(Parameters, out var faults);
        foreach (var fault in faults) yield return fault;
        foreach (var fault in ChapSection.Faults(Chap, MutualChap)) yield return fault;
        if (Initiators.Count > 0 && Chap is not null) yield return "chap: with initiators each has its own; give it there";
        foreach (var (name, initiator) in Initiators)
        {
            if (!TargetsSection.IsIscsiName(name)) yield return $"initiators.{name}: must be an iSCSI name, as in /etc/iscsi/initiatorname.iscsi of the initiator";
            foreach (var fault in ChapSection.Faults(initiator.Chap, initiator.MutualChap)) yield return $"initiators.{name}.{fault}";
        }
    }

    /// <summary>ADDRESS, ADDRESS:PORT, [V6] or [V6]:PORT; port 3260 if there is none.</summary>
    public static bool TryParsePortal(string text, out IPEndPoint portal)
    {
        portal = new IPEndPoint(IPAddress.Any, 3260);
        if (!IPEndPoint.TryParse(text, out var parsed)) return false;
        portal = parsed.Port == 0 ? new IPEndPoint(parsed.Address, 3260) : parsed;
        return true;
    }
}

/// <summary>One initiator of an iSCSI target.</summary>
internal sealed record InitiatorSection
{
    /// <summary>What the initiator must know. Default: nothing.</summary>
    public ChapSection? Chap { get; set; }

    /// <summary>What the target proves in return; with chap.</summary>
    public ChapSection? MutualChap { get; set; }
}

/// <summary>A target for this host itself, or its virtual machines.</summary>
internal sealed record LocalTargetSection
{
    /// <summary>Its logical units.</summary>
    public List<LunSection> Luns { get; set; } = [];
}

/// <summary>One logical unit of a target.</summary>
internal sealed record LunSection
{
    public const int LunMax = 255;

    /// <summary>Its number, 0 to 255. Default: its place in the list.</summary>
    [Range(0, LunMax)]
    public int? Lun { get; set; }

    /// <summary>STORE/VOLUME.</summary>
    public string Volume { get; set; } = "";

    /// <summary>Initiators may not write. Default false.</summary>
    public bool ReadOnly { get; set; }

    /// <summary>The numbers of a list of logical units.</summary>
    public static IEnumerable<(int Lun, LunSection Section)> Numbered(IEnumerable<LunSection> luns) => luns.Select((l, i) => (l.Lun ?? i, l));

    public static IEnumerable<string> Faults(List<LunSection> luns, IReadOnlyDictionary<string, StoreSection> stores)
    {
        if (luns.Count == 0) yield return "luns: at least one is needed, for example { \"volume\": \"local/disk1\" }";
        foreach (var (lun, section) in Numbered(luns))
        {
            if (lun is < 0 or > LunMax) yield return $"luns: {lun} is not between 0 and {LunMax}";
            if (section.Volume.Split('/') is not [var store, var volume] || !stores.ContainsKey(store) || !VolumeCatalog.IsValidName(volume))
                yield return $"luns: '{section.Volume}' must be STORE/VOLUME, with a store from above";
        }

        foreach (var twice in Numbered(luns).GroupBy(l => l.Lun).Where(g => g.Count() > 1)) yield return $"luns: {twice.Key} is there {twice.Count()} times";
    }
}

/// <summary>Who may ask what targets there are (SendTargets).</summary>
internal sealed record DiscoverySection
{
    /// <summary>What the initiator must know. Default: nothing.</summary>
    public ChapSection? Chap { get; set; }

    /// <summary>What the target proves in return; with chap.</summary>
    public ChapSection? MutualChap { get; set; }

    public IEnumerable<string> Faults() => ChapSection.Faults(Chap, MutualChap);
}

/// <summary>A CHAP user (RFC 1994), whose secret is in a file or in the environment.</summary>
internal sealed record ChapSection
{
    /// <summary>Its name.</summary>
    public string User { get; set; } = "";

    /// <summary>A file that holds the secret and nothing else, absolute.</summary>
    public string? SecretFile { get; set; }

    /// <summary>Or the environment variable that holds it.</summary>
    public string? SecretEnv { get; set; }

    public static IEnumerable<string> Faults(ChapSection? chap, ChapSection? mutual)
    {
        if (mutual is not null && chap is null) yield return "mutualChap: needs chap, too";
        if (chap is not null && mutual is not null && chap.User.Length > 0 && chap.User == mutual.User) yield return "mutualChap.user: must be another name than chap's";
        foreach (var (name, section) in ((string, ChapSection?)[])[("chap", chap), ("mutualChap", mutual)])
        {
            if (section is null) continue;
            if (section.User.Length is 0 or > 200 || section.User.Any(c => char.IsControl(c))) yield return $"{name}.user: a name of 1 to 200 characters is needed";
            if ((section.SecretFile is null) == (section.SecretEnv is null)) yield return $"{name}: give secretFile or secretEnv, one of them";
            if (section.SecretFile is { } file && !Path.IsPathRooted(file)) yield return $"{name}.secretFile: must be an absolute path";
        }
    }
}
