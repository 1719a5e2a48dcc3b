using System.Buffers;
using System.Net;
using System.Net.Sockets;
using System.Text.RegularExpressions;

namespace Gateway.Lio;

/// <summary>Finds what LIO would refuse, or would take in another way than meant. Faulty items are left as they are; the others go on.</summary>
internal sealed partial class DesiredStateCheck
{
    private const int ConfigLengthMax = 255;
    private const int IqnLengthMax = 223;
    private const int CommandDepthMax = 512;
    private const int DataSegmentMax = (1 << 24) - 1;
    private const int LunMax = 255;

    private static readonly SearchValues<char> Printable = SearchValues.Create([.. Enumerable.Range(0x21, 0x7E - 0x21 + 1).Select(c => (char)c)]);

    private readonly Dictionary<string, string> _faults = [];
    private readonly List<LioFailure> _failures = [];

    /// <summary>Checks a state; afterwards <see cref="IsFaulty"/> tells of each item.</summary>
    public DesiredStateCheck(DesiredState desired)
    {
        var names = new HashSet<string>(StringComparer.Ordinal);
        var configs = new HashSet<string>(StringComparer.Ordinal);
        foreach (var backstore in desired.Backstores) Check(ItemNames.Of(backstore), FaultOf(backstore, names, configs));
        foreach (var target in desired.LoopbackTargets) Check(ItemNames.Loopback(target), FaultOf(target, names, "loopback "));
        foreach (var target in desired.VhostTargets) Check(ItemNames.Vhost(target), FaultOf(target, names, "vhost "));
        var portals = new List<(IPEndPoint EndPoint, string Item)>();
        foreach (var target in desired.IscsiTargets) Check(ItemNames.Of(target), FaultOf(target, names, portals));
        if (desired.DiscoveryAuth is { } auth) Check(ItemNames.Discovery, FaultOf(auth));
        foreach (var (item, luns) in AllLuns(desired))
        {
            foreach (var lun in luns.Where(lun => !desired.Backstores.Any(b => b.Name == lun.Backstore)))
                Check(item, $"LUN {lun.Number} is of backstore '{lun.Backstore}', which is not declared. Declare it, or take the LUN out.");
        }
    }

    /// <summary>One message for each faulty item.</summary>
    public IReadOnlyList<LioFailure> Failures => _failures;

    public bool IsFaulty(string item) => _faults.ContainsKey(item);

    /// <summary>The endpoint of a portal that has passed.</summary>
    public static IPEndPoint EndPointOf(IscsiPortal portal) => new(IPAddress.Parse(portal.Address), portal.Port);

    private void Check(string item, string? fault)
    {
        if (fault is null || !_faults.TryAdd(item, fault)) return;
        _failures.Add(new LioFailure(item, fault));
    }

    private static IEnumerable<(string Item, IReadOnlyList<LunMapping> Luns)> AllLuns(DesiredState desired) =>
    [
        .. desired.IscsiTargets.Select(t => (ItemNames.Of(t), t.Luns)),
        .. desired.LoopbackTargets.Select(t => (ItemNames.Loopback(t), t.Luns)),
        .. desired.VhostTargets.Select(t => (ItemNames.Vhost(t), t.Luns)),
    ];

    private static string? FaultOf(Backstore b, HashSet<string> names, HashSet<string> configs)
    {
        if (!BackstoreName().IsMatch(b.Name)) return "a backstore's name is 1 to 100 of a-z, A-Z, 0-9, '.', '_' and '-', beginning with a letter or digit.";
        if (!names.Add($"backstore {b.Name}")) return "two backstores have this name. Rename one.";
        if (b.Config.Length > ConfigLengthMax || !BackstoreConfig().IsMatch(b.Config))
            return $"'{b.Config}' is no configuration string: gateway/STORE/VOLUME, at most {ConfigLengthMax} printable characters, no comma.";
        if (!configs.Add(b.Config)) return $"another backstore is of '{b.Config}', too. One volume, one backstore: map that one twice.";
        if (b.BlockSizeBytes is not (512 or 4096)) return "the block size is 512 or 4096 bytes.";
        if (b.SizeBytes <= 0 || b.SizeBytes % b.BlockSizeBytes != 0) return $"the size is a multiple of the block size, {b.BlockSizeBytes} bytes, and not 0.";
        if (b.TransferMaxBytes is < 64 << 10 or > 16 << 20 || b.TransferMaxBytes % b.BlockSizeBytes != 0) return "the longest transfer is 64 KiB to 16 MiB, in whole blocks.";
        if (b.DataAreaMebibytes is < 8 or > 2048) return "the data area is 8 to 2048 MiB.";
        if (b.DataAreaMebibytes < (b.TransferMaxBytes >> 20) * 2) return "the data area must hold two of the longest transfers (COMPARE AND WRITE).";
        return b.CommandTimeoutSeconds is < 0 or > 86400 || b.QueueFullTimeoutSeconds is < -1 or > 86400 ? "a timeout is 0 to 86400 seconds." : null;
    }

    private static string? FaultOf(NexusTarget target, HashSet<string> names, string fabric)
    {
        if (!Naa().IsMatch(target.Wwn) || !Naa().IsMatch(target.Nexus)) return "target and nexus are 'naa.' and 16 hexadecimal digits, lower case.";
        if (target.Wwn == target.Nexus) return "target and nexus must differ.";
        if (!names.Add(fabric + target.Wwn)) return "it is declared twice. Take one out.";
        if (target.Luns.FirstOrDefault(lun => lun.ReadOnly) is { } lun)
            return $"LUN {lun.Number} cannot be read-only: the {fabric.Trim()} fabric has no write protection. Export it over iSCSI, or mark the block device (blockdev --setro).";
        return FaultOf(target.Luns);
    }

    private static string? FaultOf(IscsiTarget target, HashSet<string> names, List<(IPEndPoint EndPoint, string Item)> portals)
    {
        if (target.Iqn.Length > IqnLengthMax || !Iqn().IsMatch(target.Iqn)) return $"its name is 'iqn.YYYY-MM.domain[:name]', lower case, at most {IqnLengthMax} characters.";
        if (!names.Add($"iscsi {target.Iqn}")) return "it is declared twice. Take one out.";
        if (FaultOf(target.Luns) is { } lunFault) return lunFault;
        if (target.Initiators.Count == 0 && target.Luns.Select(lun => lun.ReadOnly).Distinct().Count() > 1)
            return "without a list of initiators all LUNs are read-only or none is. List the initiators, or use two targets.";
        if (target.Initiators.Count > 0 && target.Chap is not null) return "with a list of initiators each of them has its own CHAP credentials. Move the target's to the initiators.";
        if (target.Initiators.Select(i => i.Chap is null).Distinct().Count() > 1)
            return "some initiators have CHAP credentials and some have not; LIO has one switch for a target. Give credentials to all, or use two targets.";
        foreach (var initiator in target.Initiators)
        {
            if (initiator.Initiator.Length > IqnLengthMax || !InitiatorName().IsMatch(initiator.Initiator)) return $"'{initiator.Initiator}' is no initiator name (iqn., eui. or naa.).";
        }

        if (target.Initiators.Select(i => i.Initiator).Distinct(StringComparer.Ordinal).Count() < target.Initiators.Count) return "an initiator is listed twice.";
        foreach (var chap in target.Initiators.Select(i => i.Chap).Append(target.Chap).OfType<ChapCredentials>())
        {
            if (FaultOf(chap) is { } chapFault) return chapFault;
        }

        return FaultOf(target.Session) ?? FaultOfPortals(target, portals);
    }

    private static string? FaultOf(IReadOnlyList<LunMapping> luns)
    {
        if (luns.FirstOrDefault(lun => lun.Number is < 0 or > LunMax) is { } outside) return $"LUN {outside.Number} is not from 0 to {LunMax}.";
        return luns.Select(lun => lun.Number).Distinct().Count() < luns.Count ? "a LUN's number is used twice." : null;
    }

    private static string? FaultOfPortals(IscsiTarget target, List<(IPEndPoint EndPoint, string Item)> portals)
    {
        if (target.Portals.Count == 0) return "it has no portal, so that nobody could reach it.";
        var own = new List<(IPEndPoint EndPoint, string Item)>();
        foreach (var portal in target.Portals)
        {
            if (!IPAddress.TryParse(portal.Address, out var address) || portal.Address.AsSpan().ContainsAny("%[]") || address.IsIPv4MappedToIPv6
                || (address.AddressFamily == AddressFamily.InterNetwork && portal.Address != address.ToString()))
                return $"'{portal.Address}' is no IPv4 or IPv6 address (without brackets or scope).";
            if (portal.Port is <= 0 or > 65535) return $"{portal.Port} is no TCP port.";
            var endPoint = new IPEndPoint(address, portal.Port);
            if (own.Exists(p => p.EndPoint.Equals(endPoint))) return $"portal {endPoint} is listed twice.";
            if (portals.Concat(own).FirstOrDefault(p => Conflict(p.EndPoint, endPoint)) is { Item: { } other } conflict)
                return $"portal {endPoint} cannot be together with {conflict.EndPoint} of {other}: a wildcard takes the port on all addresses{(address.Equals(IPAddress.IPv6Any) || conflict.EndPoint.Address.Equals(IPAddress.IPv6Any) ? " ([::] those of IPv4, too)" : "")}. Name single addresses, or the wildcard only.";
            own.Add((endPoint, ItemNames.Of(target)));
        }

        portals.AddRange(own);
        return null;
    }

    private static bool Conflict(IPEndPoint left, IPEndPoint right) => left.Port == right.Port && !left.Address.Equals(right.Address) && (Covers(left.Address, right.Address) || Covers(right.Address, left.Address));

    private static bool Covers(IPAddress wildcard, IPAddress address) =>
        wildcard.Equals(IPAddress.IPv6Any) || (wildcard.Equals(IPAddress.Any) && address.AddressFamily == AddressFamily.InterNetwork);

    private static string? FaultOf(ChapCredentials chap)
    {
        if (FaultOfUser(chap.User) is { } userFault) return userFault;
        if (FaultOfSecret(chap.Secret) is { } secretFault) return secretFault;
        if (chap.MutualUser is null != chap.MutualSecret is null) return "mutual CHAP needs both a user and a secret.";
        if (chap.MutualUser is not { } mutualUser || chap.MutualSecret is not { } mutualSecret) return null;
        if (chap.Secret.Equals(mutualSecret)) return "the mutual CHAP secret must not be the initiator's: an attacker could reflect the challenge (RFC 7143 9.2.1).";
        return FaultOfUser(mutualUser) ?? FaultOfSecret(mutualSecret);
    }

    private static string? FaultOfUser(string user) =>
        user.Length is 0 or > ChapSecret.LengthMax || user.AsSpan().ContainsAnyExcept(Printable) || user.StartsWith("NULL", StringComparison.Ordinal)
            ? $"a CHAP user is 1 to {ChapSecret.LengthMax} printable ASCII characters without spaces, and does not begin with NULL."
            : null;

    private static string? FaultOfSecret(ChapSecret secret) =>
        secret.Length is < ChapSecret.LengthMin or > ChapSecret.LengthMax || secret.Reveal().AsSpan().ContainsAnyExcept(Printable) || secret.Reveal().StartsWith("NULL", StringComparison.Ordinal)
            ? $"a CHAP secret is {ChapSecret.LengthMin} to {ChapSecret.LengthMax} printable ASCII characters without spaces, and does not begin with NULL."
            : null;

    private static string? FaultOf(SessionParameters s)
    {
        if (new[] { s.MaxRecvDataSegmentLength, s.MaxXmitDataSegmentLength, s.MaxBurstLength, s.FirstBurstLength }.Any(n => n is < 512 or > DataSegmentMax)) return $"lengths of session parameters are 512 to {DataSegmentMax} bytes.";
        if (s.FirstBurstLength > s.MaxBurstLength) return "firstBurstLength must not be more than maxBurstLength (RFC 7143 13.14).";
        if (s.MaxOutstandingR2T is < 1 or > 65535) return "maxOutstandingR2T is 1 to 65535.";
        if (s.DefaultTime2WaitSeconds is < 0 or > 3600 || s.DefaultTime2RetainSeconds is < 0 or > 3600) return "defaultTime2WaitSeconds and defaultTime2RetainSeconds are 0 to 3600.";
        return s.CommandDepth is < 1 or > CommandDepthMax ? $"commandDepth is 1 to {CommandDepthMax}." : null;
    }

    [GeneratedRegex(@"\A[A-Za-z0-9][A-Za-z0-9._-]{0,99}\z")]
    private static partial Regex BackstoreName();

    [GeneratedRegex(@"\Agateway/[!-+.-~\-]+\z")]
    private static partial Regex BackstoreConfig();

    [GeneratedRegex(@"\Anaa\.[0-9a-f]{16}\z")]
    private static partial Regex Naa();

    [GeneratedRegex(@"\Aiqn\.[0-9]{4}-[0-9]{2}\.[a-z0-9][a-z0-9.:_-]*\z")]
    private static partial Regex Iqn();

    [GeneratedRegex(@"\A(iqn\.[0-9]{4}-[0-9]{2}\.|eui\.|naa\.)[a-zA-Z0-9.:_-]+\z")]
    private static partial Regex InitiatorName();
}

/// <summary>How items are called in plans and messages.</summary>
internal static class ItemNames
{
    public const string Discovery = "iSCSI discovery";

    public static string Of(Backstore backstore) => Backstore(backstore.Name);

    public static string Backstore(string name) => $"backstore {name}";

    public static string Of(IscsiTarget target) => Target(Fabric.Iscsi, target.Iqn);

    public static string Loopback(NexusTarget target) => Target(Fabric.Loopback, target.Wwn);

    public static string Vhost(NexusTarget target) => Target(Fabric.Vhost, target.Wwn);

    public static string Target(Fabric fabric, string wwn) => $"{fabric.Name} target {wwn}";
}
