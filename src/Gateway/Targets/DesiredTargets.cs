using System.Security.Cryptography;
using System.Text;
using Gateway.Configuration;
using Gateway.Lio;

namespace Gateway.Targets;

/// <summary>What the configuration wants of LIO, in LIO's words.</summary>
internal static class DesiredTargets
{
    private delegate ChapSecret SecretReader(ChapSection chap, string item, Dictionary<string, string> faults);

    /// <summary>
    /// What cannot be known now (a volume whose store is away, a secret whose file is missing) is told in <paramref name="faults"/>, and stands in the state in a
    /// form that LIO's planner refuses: so what there is of it stays as it is, and nothing is taken for removed.
    /// </summary>
    /// <param name="targets">All targets.</param>
    /// <param name="facts">The exported volumes by name; null with the reason for one that is not known.</param>
    /// <param name="host">Makes names of this host.</param>
    /// <param name="faults">Why items are not as they should be, by item as the reconciler calls it.</param>
    public static DesiredState Of(TargetsSection targets, IReadOnlyDictionary<string, (VolumeFact? Fact, string? Reason)> facts, string host, out Dictionary<string, string> faults)
    {
        var found = faults = [];
        return Of(targets, facts, host, found, Secret);
    }

    /// <summary>What LIO would not take of it, whatever the volumes and the secrets are.</summary>
    public static IEnumerable<LioFailure> Faults(TargetsSection targets)
    {
        var facts = targets.Volumes.ToDictionary(v => v, _ => ((VolumeFact?)new VolumeFact(Guid.NewGuid(), 1L << 30, 4096), (string?)null), StringComparer.Ordinal);
        return Of(targets, facts, "host", [], (chap, _, _) => new ChapSecret(Convert.ToHexString(SHA256.HashData(Encoding.UTF8.GetBytes(chap.User)))[..32])).Faults();
    }

    private static DesiredState Of(
        TargetsSection targets, IReadOnlyDictionary<string, (VolumeFact? Fact, string? Reason)> facts, string host, Dictionary<string, string> found, SecretReader secrets)
    {
        var backstores = new List<Backstore>();
        foreach (var volume in targets.Volumes)
        {
            var (fact, reason) = facts.GetValueOrDefault(volume);
            if (fact is null) found[$"backstore {BackstoreName(volume)}"] = $"volume {volume}: {reason ?? "it is not known."}";
            backstores.Add(new Backstore
            {
                Name = BackstoreName(volume),
                Config = $"gateway/{volume}",
                SizeBytes = fact?.SizeBytes ?? 0,
                BlockSizeBytes = fact?.BlockSizeBytes ?? 512,
                UnitSerial = fact?.Id ?? Guid.Empty,
            });
        }

        return new DesiredState
        {
            Backstores = backstores,
            IscsiTargets = [.. targets.Iscsi.Select(t => Of(t.Key, t.Value, found, secrets))],
            LoopbackTargets = [.. targets.Loopback.Select(t => Of("loopback", t.Key, t.Value, host))],
            VhostTargets = [.. targets.Vhost.Select(t => Of("vhost", t.Key, t.Value, host))],
            DiscoveryAuth = Of(targets.Discovery.Chap, targets.Discovery.MutualChap, "iSCSI discovery", found, secrets),
        };
    }

    /// <summary>What its device is called in LIO.</summary>
    public static string BackstoreName(string volume) => volume.Replace('/', '.');

    /// <summary>The WWN of a local target that may have a name of the user's instead.</summary>
    public static string WwnOf(string kind, string name, string host) => name.StartsWith("naa.", StringComparison.Ordinal) ? name : NexusTarget.NameOf($"{host} {kind} {name}");

    private static IscsiTarget Of(string iqn, IscsiTargetSection section, Dictionary<string, string> faults, SecretReader secrets)
    {
        var item = $"iscsi target {iqn}";
        return new IscsiTarget
        {
            Iqn = iqn,
            Portals = [.. section.Portals.Select(p => IscsiTargetSection.TryParsePortal(p, out var end) ? new IscsiPortal { Address = end.Address.ToString(), Port = end.Port } : new IscsiPortal { Address = p })],
            Luns = Luns(section.Luns),
            Chap = Of(section.Chap, section.MutualChap, item, faults, secrets),
            Initiators = [.. section.Initiators.Select(i => new InitiatorAcl { Initiator = i.Key, Chap = Of(i.Value.Chap, i.Value.MutualChap, item, faults, secrets) })],
            Session = SessionSettings.Parse(section.Parameters, out _),
        };
    }

    private static NexusTarget Of(string kind, string name, LocalTargetSection section, string host) => new()
    {
        Wwn = WwnOf(kind, name, host),
        Nexus = NexusTarget.NameOf($"{host} {kind} nexus {name}"),
        Luns = Luns(section.Luns),
    };

    private static List<LunMapping> Luns(List<LunSection> luns) =>
        [.. LunSection.Numbered(luns).Select(l => new LunMapping { Number = l.Lun, Backstore = BackstoreName(l.Section.Volume), ReadOnly = l.Section.ReadOnly })];

    private static ChapCredentials? Of(ChapSection? chap, ChapSection? mutual, string item, Dictionary<string, string> faults, SecretReader secrets) => chap is null ? null : new ChapCredentials
    {
        User = chap.User,
        Secret = secrets(chap, item, faults),
        MutualUser = mutual?.User,
        MutualSecret = mutual is null ? null : secrets(mutual, item, faults),
    };

    private static ChapSecret Secret(ChapSection section, string item, Dictionary<string, string> faults)
    {
        try
        {
            if (section.SecretEnv is { } variable)
            {
                if (Environment.GetEnvironmentVariable(variable) is { } value) return new ChapSecret(value);
                faults[item] = $"the secret of CHAP user '{section.User}' is not there: no environment variable '{variable}'. Set it for the daemon and restart it.";
                return new ChapSecret("");
            }

            return new ChapSecret(File.ReadAllText(section.SecretFile!).TrimEnd('\r', '\n'));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            faults[item] = $"the secret of CHAP user '{section.User}' cannot be read: {e.Message}";
            return new ChapSecret(""); // Too short for LIO's planner: what there is of the item stays.
        }
    }
}
