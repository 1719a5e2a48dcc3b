namespace Gateway.Lio;

/// <summary>A way for initiators to reach LIO, with its directory in configfs and its kernel module.</summary>
internal sealed record Fabric(string Name, string Module)
{
    public static readonly Fabric Iscsi = new("iscsi", "iscsi_target_mod");
    public static readonly Fabric Loopback = new("loopback", "tcm_loop");
    public static readonly Fabric Vhost = new("vhost", "vhost_scsi");

    public static readonly IReadOnlyList<Fabric> All = [Iscsi, Loopback, Vhost];

    /// <summary>Its directory below the target's.</summary>
    public override string ToString() => Name;
}
