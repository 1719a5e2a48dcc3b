namespace Gateway.Tcmu;

/// <summary>Parameters of kernel module target_core_user. Thread safe.</summary>
/// <param name="files">Access to sysfs.</param>
/// <param name="sysfsRoot">Where sysfs is mounted: <c>/sys</c>.</param>
public sealed class TcmuModule(IKernelFiles files, string sysfsRoot)
{
    private readonly string _parameters = Path.Combine(sysfsRoot, "module/target_core_user/parameters");

    /// <summary>True if the kernel can let go of netlink waiters.</summary>
    public bool CanReleaseNetlinkWaiters => files.Exists(Path.Combine(_parameters, "block_netlink")) && files.Exists(Path.Combine(_parameters, "reset_netlink"));

    /// <summary>Lets go of processes that wait for replies a dead daemon owes; their operation fails with EINTR and has to be made again.</summary>
    /// <remarks>
    /// The kernel's "a daemon replies" flag outlives the daemon: without this, creating a device after a crash blocks its caller
    /// uninterruptibly. To be done before the monitor starts: an event that comes while netlink is blocked fails. reset_netlink alone is refused.
    /// </remarks>
    /// <exception cref="IOException">The kernel refuses.</exception>
    public void ReleaseNetlinkWaiters()
    {
        files.Write(Path.Combine(_parameters, "block_netlink"), "1");
        try
        {
            files.Write(Path.Combine(_parameters, "reset_netlink"), "1");
        }
        finally
        {
            files.Write(Path.Combine(_parameters, "block_netlink"), "0");
        }
    }
}
