namespace Gateway.Lio;

/// <summary>Plans the way from what LIO has to what is declared: what is wrong goes first, then everything is made from the backstores up.</summary>
internal sealed class LioPlanner
{
    private readonly DesiredState _desired;
    private readonly DesiredStateCheck _check;
    private readonly PlanBuilder _plan;
    private readonly TargetRemover _remover;
    private readonly BackstorePlanner _backstores;
    private readonly NexusPlanner _nexus;
    private readonly IscsiPlanner _iscsi;

    private LioPlanner(IConfigfs configfs, LioOptions options, DesiredState desired)
    {
        _desired = desired;
        _check = new DesiredStateCheck(desired);
        _plan = new PlanBuilder(configfs, options);
        _remover = new TargetRemover(_plan);
        _backstores = new BackstorePlanner(_plan);
        var luns = new LunPlanner(_plan, _backstores, _remover);
        _nexus = new NexusPlanner(_plan, luns, _remover);
        _iscsi = new IscsiPlanner(_plan, luns, _remover);
    }

    /// <summary>Reads what is there, and plans. Changes nothing.</summary>
    public static LioPlan Plan(IConfigfs configfs, LioOptions options, DesiredState desired) => new LioPlanner(configfs, options, desired).Plan();

    private LioPlan Plan()
    {
        foreach (var failure in _check.Failures) _plan.Fail(failure.Item, failure.Message);
        if (!_plan.HasTarget && _plan.HasModule("target_core_mod"))
        {
            _plan.Fail("LIO", "configfs has no folder 'target' though the module is loaded. Mount configfs: mount -t configfs none /sys/kernel/config.");
            return _plan.Build();
        }

        _backstores.Place(_desired.Backstores.Where(b => !_check.IsFaulty(ItemNames.Of(b))));
        var iscsi = Ours(Fabric.Iscsi, _desired.IscsiTargets, t => t.Iqn);
        var loopback = Ours(Fabric.Loopback, _desired.LoopbackTargets, t => t.Wwn);
        var vhost = Ours(Fabric.Vhost, _desired.VhostTargets, t => t.Wwn);

        var removals = new List<PlanPart?>();
        removals.AddRange(RemoveUndeclared(Fabric.Iscsi, _desired.IscsiTargets.Select(t => t.Iqn)));
        removals.AddRange(RemoveUndeclared(Fabric.Loopback, _desired.LoopbackTargets.Select(t => t.Wwn)));
        removals.AddRange(RemoveUndeclared(Fabric.Vhost, _desired.VhostTargets.Select(t => t.Wwn)));
        var iscsiRemovals = iscsi.ConvertAll(_iscsi.RemoveWrong);
        var loopbackRemovals = loopback.ConvertAll(t => _nexus.RemoveWrong(Fabric.Loopback, t));
        var vhostRemovals = vhost.ConvertAll(t => _nexus.RemoveWrong(Fabric.Vhost, t));
        _backstores.RemoveOthers(_desired.Backstores.Select(b => b.Name).ToHashSet(StringComparer.Ordinal), [.. removals, .. iscsiRemovals, .. loopbackRemovals, .. vhostRemovals]);

        _backstores.Make();
        for (var i = 0; i < iscsi.Count; i++) _iscsi.Make(iscsi[i], iscsiRemovals[i]);
        for (var i = 0; i < loopback.Count; i++) _nexus.Make(Fabric.Loopback, loopback[i], loopbackRemovals[i]);
        for (var i = 0; i < vhost.Count; i++) _nexus.Make(Fabric.Vhost, vhost[i], vhostRemovals[i]);
        if (!_check.IsFaulty(ItemNames.Discovery)) _iscsi.SetDiscovery(_desired.DiscoveryAuth);
        RemoveFabrics();
        return _plan.Build();
    }

    /// <summary>The declared targets of a fabric that are well declared and not somebody else's.</summary>
    private List<T> Ours<T>(Fabric fabric, IReadOnlyList<T> targets, Func<T, string> nameOf)
    {
        var ours = new List<T>();
        foreach (var target in targets)
        {
            var item = ItemNames.Target(fabric, nameOf(target));
            var path = $"{fabric}/{nameOf(target)}";
            if (_check.IsFaulty(item)) continue;
            if (_plan.Exists(path) && !_plan.Owned.Contains(path))
                _plan.Fail(item, $"it exists and is not ours. Choose another name, remove it, or hand it to the gateway, which may then change all of it: mkdir '{_plan.At(OwnershipMarks.PathOf(path))}'.");
            else ours.Add(target);
        }

        return ours;
    }

    private List<PlanPart> RemoveUndeclared(Fabric fabric, IEnumerable<string> declared)
    {
        var keep = declared.Select(name => $"{fabric}/{name}").Append("iscsi/discovery_auth").ToHashSet(StringComparer.Ordinal);
        return [.. _plan.Owned.Where(path => path.StartsWith($"{fabric}/", StringComparison.Ordinal) && !keep.Contains(path)).ToList().Select(path => _remover.RemoveTarget(fabric, path))];
    }

    /// <summary>A fabric's directory goes when it is ours and empty; one that others have come to use is left to them.</summary>
    private void RemoveFabrics()
    {
        foreach (var fabric in Fabric.All.Where(f => _plan.Owned.Contains(f.Name)))
        {
            if (_plan.Owned.Any(path => path.StartsWith($"{fabric}/", StringComparison.Ordinal)) || IsDeclared(fabric)) continue;
            var part = _plan.Part($"fabric {fabric}", TargetRemover.Remedy);
            if (_plan.Exists(fabric.Name) && !_plan.Directories(fabric.Name).Any(name => name != "discovery_auth")) _plan.RemoveDirectory(part, fabric.Name);
            _plan.Unmark(part, fabric.Name);
        }
    }

    private bool IsDeclared(Fabric fabric) =>
        fabric == Fabric.Iscsi ? _desired.IscsiTargets.Count > 0 || _desired.DiscoveryAuth is not null
        : fabric == Fabric.Loopback ? _desired.LoopbackTargets.Count > 0
        : _desired.VhostTargets.Count > 0;
}
