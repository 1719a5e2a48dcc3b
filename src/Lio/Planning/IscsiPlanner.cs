using System.Globalization;
using System.Net;

namespace Gateway.Lio;

/// <summary>Plans iSCSI targets: <c>iscsi/IQN/tpgt_1</c> with attributes, LUNs, ACLs and portals, enabled last.</summary>
internal sealed class IscsiPlanner(PlanBuilder plan, LunPlanner luns, TargetRemover remover)
{
    private const string Remedy = "See the kernel's log (dmesg).";
    private const string PortalRemedy = "Another program, or a portal with a wildcard address, has the address and port: see 'ss -ltn' and 'targetcli ls'.";
    private const string DiscoveryPath = "iscsi/discovery_auth";

    /// <summary>Plans what has to go from a target that is ours.</summary>
    public PlanPart RemoveWrong(IscsiTarget target)
    {
        var path = PathOf(target);
        var group = GroupOf(target);
        var part = plan.Part(ItemNames.Of(target), TargetRemover.Remedy);
        foreach (var other in remover.Groups(path).Where(name => $"{path}/{name}" != group).ToList()) remover.RemoveGroup(part, $"{path}/{other}");
        if (!plan.Exists(group)) return part;
        if (HasStaleInitiators(target, group))
        {
            remover.RemoveGroup(part, group);
            return part;
        }

        RemoveWrongAcls(part, target, group);
        luns.RemoveWrong(part, group, target.Luns);
        foreach (var name in plan.Directories($"{group}/np").Where(name => !target.Portals.Any(p => IsAt(p, name)))) plan.RemoveDirectory(part, $"{group}/np/{name}");
        return part;
    }

    /// <summary>Plans what makes a target as declared.</summary>
    public void Make(IscsiTarget target, PlanPart? after)
    {
        var item = ItemNames.Of(target);
        var group = GroupOf(target);
        var part = plan.Part(item, Remedy, plan.EnsureFabric(Fabric.Iscsi), after);
        plan.Mark(part, PathOf(target));
        plan.MakeDirectory(part, PathOf(target));
        plan.MakeDirectory(part, group);
        SetAccess(part, target, group);
        SetSession(part, target.Session, group);
        SetChap(part, $"{group}/auth", target.Chap);
        var lunParts = luns.Make(item, part, group, target.Luns);
        foreach (var acl in target.Initiators) MakeAcl(target, acl, part, lunParts);
        foreach (var portal in target.Portals)
        {
            if (plan.Directories($"{group}/np").Any(name => IsAt(portal, name))) continue;
            plan.MakeDirectory(plan.Part(item, PortalRemedy, part), $"{group}/np/{DesiredStateCheck.EndPointOf(portal)}");
        }

        plan.Set(plan.Part(item, Remedy, part), $"{group}/enable", true);
    }

    /// <summary>Plans the credentials of discovery, one set for the whole machine.</summary>
    public void SetDiscovery(ChapCredentials? desired)
    {
        if (desired is null)
        {
            if (!plan.Owned.Contains(DiscoveryPath)) return;
            var removal = plan.Part(ItemNames.Discovery, Remedy);
            if (plan.Exists(DiscoveryPath))
            {
                plan.Set(removal, $"{DiscoveryPath}/enforce_discovery_auth", false);
                SetChap(removal, DiscoveryPath, null);
            }

            plan.Unmark(removal, DiscoveryPath);
            return;
        }

        if (!plan.Owned.Contains(DiscoveryPath) && plan.Read($"{DiscoveryPath}/enforce_discovery_auth") == "1")
        {
            plan.Fail(ItemNames.Discovery, $"somebody else has set credentials for discovery. Take them out ('targetcli /iscsi set discovery_auth enable=0'), or ours.");
            return;
        }

        var part = plan.Part(ItemNames.Discovery, Remedy, plan.EnsureFabric(Fabric.Iscsi));
        plan.Mark(part, DiscoveryPath);
        SetChap(part, DiscoveryPath, desired);
        plan.Set(part, $"{DiscoveryPath}/enforce_discovery_auth", true);
    }

    private static string PathOf(IscsiTarget target) => $"iscsi/{target.Iqn}";

    private static string GroupOf(IscsiTarget target) => $"iscsi/{target.Iqn}/tpgt_1";

    private static bool IsAt(IscsiPortal portal, string name) => IPEndPoint.TryParse(name, out var actual) && actual.Equals(DesiredStateCheck.EndPointOf(portal));

    private static bool Authenticates(IscsiTarget target) => target.Chap is not null || target.Initiators.Any(i => i.Chap is not null);

    private static bool IsDemo(IscsiTarget target) => target.Initiators.Count == 0;

    private static bool DemoReadOnly(IscsiTarget target) => IsDemo(target) && target.Luns.Any(lun => lun.ReadOnly);

    /// <summary>
    /// True if the group remembers initiators with rights that they no longer have. Those that came without an ACL are cached, with the write protection
    /// of that time, until the group goes; also when ACLs are demanded later.
    /// </summary>
    private bool HasStaleInitiators(IscsiTarget target, string group) =>
        plan.Read($"{group}/attrib/generate_node_acls") == "1"
        && (!IsDemo(target) || plan.Read($"{group}/attrib/demo_mode_write_protect") != (DemoReadOnly(target) ? "1" : "0"));

    private void RemoveWrongAcls(PlanPart part, IscsiTarget target, string group)
    {
        foreach (var name in plan.Directories($"{group}/acls"))
        {
            var acl = $"{group}/acls/{name}";
            if (!target.Initiators.Any(i => i.Initiator == name))
            {
                remover.RemoveAcl(part, acl);
                continue;
            }

            foreach (var mapped in remover.MappedLuns(acl).ToList())
            {
                // Without a value of write_protect the mapping is dead: its LUN lost its backstore meanwhile.
                var right = target.Luns.Any(lun => LunPlanner.NameOf(lun) == mapped) && remover.LinksTo($"{acl}/{mapped}", $"{group}/lun/{mapped}") && !string.IsNullOrEmpty(plan.Read($"{acl}/{mapped}/write_protect"));
                if (!right) remover.RemoveMapped(part, $"{acl}/{mapped}");
            }
        }
    }

    private void SetAccess(PlanPart part, IscsiTarget target, string group)
    {
        // The write protection before the demo mode, so that no initiator comes in between. AuthMethod before authentication: the kernel
        // strips None from the list, and must not find it alone.
        var authenticates = Authenticates(target);
        if (authenticates) plan.Set(part, $"{group}/param/AuthMethod", "CHAP");
        plan.Set(part, $"{group}/attrib/authentication", authenticates);
        if (!authenticates) plan.Set(part, $"{group}/param/AuthMethod", "CHAP,None");
        plan.Set(part, $"{group}/attrib/demo_mode_write_protect", DemoReadOnly(target));
        plan.Set(part, $"{group}/attrib/prod_mode_write_protect", false);
        plan.Set(part, $"{group}/attrib/demo_mode_discovery", IsDemo(target));
        plan.Set(part, $"{group}/attrib/generate_node_acls", IsDemo(target));
        plan.Set(part, $"{group}/attrib/cache_dynamic_acls", IsDemo(target));
    }

    private void SetSession(PlanPart part, SessionParameters session, string group)
    {
        plan.Set(part, $"{group}/attrib/default_cmdsn_depth", session.CommandDepth);
        plan.Set(part, $"{group}/param/MaxRecvDataSegmentLength", session.MaxRecvDataSegmentLength);
        plan.Set(part, $"{group}/param/MaxXmitDataSegmentLength", session.MaxXmitDataSegmentLength);
        plan.Set(part, $"{group}/param/MaxBurstLength", session.MaxBurstLength);
        plan.Set(part, $"{group}/param/FirstBurstLength", session.FirstBurstLength);
        plan.Set(part, $"{group}/param/InitialR2T", YesNo(session.InitialR2T));
        plan.Set(part, $"{group}/param/ImmediateData", YesNo(session.ImmediateData));
        plan.Set(part, $"{group}/param/MaxOutstandingR2T", session.MaxOutstandingR2T);
        plan.Set(part, $"{group}/param/DefaultTime2Wait", session.DefaultTime2WaitSeconds);
        plan.Set(part, $"{group}/param/DefaultTime2Retain", session.DefaultTime2RetainSeconds);
    }

    private void MakeAcl(IscsiTarget target, InitiatorAcl acl, PlanPart group, IReadOnlyList<(LunMapping Lun, PlanPart Part)> lunParts)
    {
        var item = ItemNames.Of(target);
        var path = $"{GroupOf(target)}/acls/{acl.Initiator}";
        var part = plan.Part(item, Remedy, group);
        plan.MakeDirectory(part, path);
        plan.Set(part, $"{path}/cmdsn_depth", target.Session.CommandDepth);
        plan.Set(part, $"{path}/attrib/authentication", -1); // As the group has it.
        SetChap(part, $"{path}/auth", acl.Chap);
        foreach (var (lun, lunPart) in lunParts)
        {
            var mapped = $"{path}/{LunPlanner.NameOf(lun)}";
            var mapping = plan.Part(item, Remedy, part, lunPart);
            plan.MakeDirectory(mapping, mapped);
            if (plan.Links(mapped).Count == 0) plan.Link(mapping, $"{GroupOf(target)}/lun/{LunPlanner.NameOf(lun)}", $"{mapped}/lun");
            plan.Set(mapping, $"{mapped}/write_protect", lun.ReadOnly);
        }
    }

    private void SetChap(PlanPart part, string path, ChapCredentials? chap)
    {
        plan.SetChap(part, $"{path}/userid", chap?.User);
        plan.SetChap(part, $"{path}/password", chap?.Secret);
        plan.SetChap(part, $"{path}/userid_mutual", chap?.MutualUser);
        plan.SetChap(part, $"{path}/password_mutual", chap?.MutualSecret);
    }

    private static string YesNo(bool value) => value ? "Yes" : "No";
}
