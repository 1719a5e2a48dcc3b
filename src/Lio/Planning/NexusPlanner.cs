namespace Gateway.Lio;

/// <summary>Plans loopback and vhost targets: <c>FABRIC/WWN/tpgt_1</c> with a nexus and LUNs.</summary>
internal sealed class NexusPlanner(PlanBuilder plan, LunPlanner luns, TargetRemover remover)
{
    private const string Remedy = "See the kernel's log (dmesg).";

    /// <summary>Plans what has to go from a target that is ours.</summary>
    public PlanPart RemoveWrong(Fabric fabric, NexusTarget target)
    {
        var (path, group) = PathsOf(fabric, target);
        var part = plan.Part(ItemNames.Target(fabric, target.Wwn), TargetRemover.Remedy);
        foreach (var other in remover.Groups(path).Where(name => $"{path}/{name}" != group).ToList()) remover.RemoveGroup(part, $"{path}/{other}");

        // The nexus comes before the LUNs: the SCSI host looks for them when they are linked, not when it gets a nexus.
        var nexus = plan.Read($"{group}/nexus");
        luns.RemoveWrong(part, group, target.Luns, all: nexus != target.Nexus);
        if (nexus != target.Nexus) remover.DropNexus(part, group);
        return part;
    }

    /// <summary>Plans what makes a target as declared.</summary>
    public void Make(Fabric fabric, NexusTarget target, PlanPart? after)
    {
        var (path, group) = PathsOf(fabric, target);
        var item = ItemNames.Target(fabric, target.Wwn);
        var part = plan.Part(item, Remedy, plan.EnsureFabric(fabric), after);
        plan.Mark(part, path);
        plan.MakeDirectory(part, path);
        plan.MakeDirectory(part, group);
        if (plan.Read($"{group}/nexus") != target.Nexus || after is { Steps.Count: > 0 } && DropsNexus(after)) plan.Write(part, $"{group}/nexus", target.Nexus);
        luns.Make(item, part, group, target.Luns);
    }

    private static bool DropsNexus(PlanPart part) => part.Steps.Any(step => step is { Kind: LioStepKind.Write, Value: "NULL" });

    private static (string Path, string Group) PathsOf(Fabric fabric, NexusTarget target) => ($"{fabric}/{target.Wwn}", $"{fabric}/{target.Wwn}/tpgt_1");
}
