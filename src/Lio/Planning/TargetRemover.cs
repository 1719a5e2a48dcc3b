namespace Gateway.Lio;

/// <summary>Plans removals in fabrics, in the order the kernel wants: nothing goes while something refers to it. Paths are below the target's root.</summary>
internal sealed class TargetRemover(PlanBuilder plan)
{
    public const string Remedy = "Something holds it: see the kernel's log (dmesg) and 'targetcli ls'. It is tried again with the next reconciliation.";

    /// <summary>A whole target, with its mark.</summary>
    public PlanPart RemoveTarget(Fabric fabric, string path)
    {
        var part = plan.Part(ItemNames.Target(fabric, Path.GetFileName(path)), Remedy);
        foreach (var group in Groups(path)) RemoveGroup(part, $"{path}/{group}");
        if (plan.Exists(path)) plan.RemoveDirectory(part, path);
        plan.Unmark(part, path);
        return part;
    }

    /// <summary>Names of a target's portal groups.</summary>
    public IEnumerable<string> Groups(string path) => plan.Directories(path).Where(name => name.StartsWith("tpgt_", StringComparison.Ordinal));

    /// <summary>A portal group with all that is in it. Its sessions end.</summary>
    public void RemoveGroup(PlanPart part, string group)
    {
        if (plan.Read($"{group}/enable") == "1") plan.Write(part, $"{group}/enable", "0");
        foreach (var acl in plan.Directories($"{group}/acls")) RemoveAcl(part, $"{group}/acls/{acl}");
        foreach (var lun in plan.Directories($"{group}/lun")) RemoveLun(part, group, lun);
        DropNexus(part, group);
        foreach (var portal in plan.Directories($"{group}/np")) plan.RemoveDirectory(part, $"{group}/np/{portal}");
        plan.RemoveDirectory(part, group);
    }

    /// <summary>An initiator, whose sessions end.</summary>
    public void RemoveAcl(PlanPart part, string acl)
    {
        foreach (var mapped in MappedLuns(acl)) RemoveMapped(part, $"{acl}/{mapped}");
        plan.RemoveDirectory(part, acl);
    }

    /// <summary>Names of an initiator's LUNs.</summary>
    public IEnumerable<string> MappedLuns(string acl) => plan.Directories(acl).Where(name => name.StartsWith("lun_", StringComparison.Ordinal));

    /// <summary>A LUN of an initiator.</summary>
    public void RemoveMapped(PlanPart part, string mapped)
    {
        foreach (var link in plan.Links(mapped)) plan.Unlink(part, $"{mapped}/{link}");
        plan.RemoveDirectory(part, mapped);
    }

    /// <summary>A LUN of a portal group, everywhere.</summary>
    public void RemoveLun(PlanPart part, string group, string lun)
    {
        UnlinkLun(part, group, lun);
        plan.RemoveDirectory(part, $"{group}/lun/{lun}");
    }

    /// <summary>A LUN's backstore. The initiators' LUNs go first: the kernel would leave them there without effect.</summary>
    public void UnlinkLun(PlanPart part, string group, string lun)
    {
        foreach (var acl in plan.Directories($"{group}/acls"))
        {
            foreach (var mapped in MappedLuns($"{group}/acls/{acl}").Where(m => LinksTo($"{group}/acls/{acl}/{m}", $"{group}/lun/{lun}")).ToList())
                RemoveMapped(part, $"{group}/acls/{acl}/{mapped}");
        }

        foreach (var link in plan.Links($"{group}/lun/{lun}")) plan.Unlink(part, $"{group}/lun/{lun}/{link}");
    }

    /// <summary>True if a directory has a link to a path.</summary>
    public bool LinksTo(string directory, string target) => plan.Links(directory).Any(link => plan.ReadLink($"{directory}/{link}") == target);

    /// <summary>The nexus of a loopback or vhost target; the kernel refuses while there are LUNs.</summary>
    public void DropNexus(PlanPart part, string group)
    {
        if (!string.IsNullOrEmpty(plan.Read($"{group}/nexus"))) plan.Write(part, $"{group}/nexus", "NULL");
    }
}
