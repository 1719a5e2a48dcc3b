namespace Gateway.Lio;

/// <summary>All that this gateway is to have in LIO. What it made earlier and is not in here is removed.</summary>
public sealed record DesiredState
{
    /// <summary>What LIO would refuse, or would take in another way than meant: one message for each faulty item.</summary>
    public IReadOnlyList<LioFailure> Faults() => new DesiredStateCheck(this).Failures;

    /// <summary>TCMU devices.</summary>
    public IReadOnlyList<Backstore> Backstores { get; init; } = [];

    /// <summary>iSCSI targets.</summary>
    public IReadOnlyList<IscsiTarget> IscsiTargets { get; init; } = [];

    /// <summary>SCSI hosts of this machine itself (tcm_loop).</summary>
    public IReadOnlyList<NexusTarget> LoopbackTargets { get; init; } = [];

    /// <summary>SCSI hosts for virtual machines (vhost_scsi).</summary>
    public IReadOnlyList<NexusTarget> VhostTargets { get; init; } = [];

    /// <summary>What initiators need for discovery, on all portals of this machine; null: nothing, or whatever somebody else has set.</summary>
    public ChapCredentials? DiscoveryAuth { get; init; }
}
