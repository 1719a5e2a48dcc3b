using System.Globalization;

namespace Gateway.Lio;

/// <summary>Plans the LUNs of a portal group; the same in all fabrics.</summary>
internal sealed class LunPlanner(PlanBuilder plan, BackstorePlanner backstores, TargetRemover remover)
{
    /// <summary>The name of the link from a LUN to its backstore; the kernel takes any.</summary>
    private const string LinkName = "backstore";

    private const string Remedy = "See the kernel's log (dmesg).";

    public static string NameOf(LunMapping lun) => $"lun_{lun.Number.ToString(CultureInfo.InvariantCulture)}";

    /// <summary>Plans the removal of LUNs that are not declared, and of links that lead elsewhere than declared.</summary>
    /// <param name="part">Takes the steps.</param>
    /// <param name="group">The portal group.</param>
    /// <param name="luns">Those declared.</param>
    /// <param name="all">Whether all links go, declared or not.</param>
    public void RemoveWrong(PlanPart part, string group, IReadOnlyList<LunMapping> luns, bool all = false)
    {
        foreach (var name in plan.Directories($"{group}/lun"))
        {
            var lun = luns.FirstOrDefault(l => NameOf(l) == name);
            if (lun is null) remover.RemoveLun(part, group, name);
            else if (all || !IsRight($"{group}/lun/{name}", lun)) remover.UnlinkLun(part, group, name);
        }
    }

    /// <summary>Plans the declared LUNs that are not there, each a part of its own.</summary>
    /// <returns>The parts by LUN, of those that can be had.</returns>
    public IReadOnlyList<(LunMapping Lun, PlanPart Part)> Make(string item, PlanPart group, string path, IReadOnlyList<LunMapping> luns)
    {
        var parts = new List<(LunMapping Lun, PlanPart Part)>();
        foreach (var lun in luns.OrderBy(l => l.Number))
        {
            if (!backstores.Placed.TryGetValue(lun.Backstore, out var placed)) continue; // Told of already, as a failure of the backstore.
            var part = plan.Part(item, Remedy, group, backstores.PartOf(lun.Backstore));
            plan.MakeDirectory(part, $"{path}/lun/{NameOf(lun)}");
            if (plan.Links($"{path}/lun/{NameOf(lun)}").Count == 0) plan.Link(part, placed.Path, $"{path}/lun/{NameOf(lun)}/{LinkName}");
            parts.Add((lun, part));
        }

        return parts;
    }

    private bool IsRight(string path, LunMapping lun)
    {
        // Of a backstore that cannot be had now, whatever the LUN has is left.
        if (!backstores.Placed.TryGetValue(lun.Backstore, out var placed)) return true;
        return !placed.Unexport && remover.LinksTo(path, placed.Path);
    }
}
