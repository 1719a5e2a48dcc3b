namespace Gateway.Lio;

/// <summary>Where LIO is, and how patient the reconciler.</summary>
public sealed record LioOptions
{
    /// <summary>Where configfs is mounted.</summary>
    public string ConfigfsRoot { get; set; } = "/sys/kernel/config";

    /// <summary>Where sysfs is mounted.</summary>
    public string SysfsRoot { get; set; } = "/sys";

    /// <summary>How long one part of the work may take, for instance making a backstore. The kernel's wait itself has no end. Default 60 s.</summary>
    public TimeSpan PartTimeout { get; set; } = TimeSpan.FromSeconds(60);
}
