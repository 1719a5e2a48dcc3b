namespace Gateway.Serving;

/// <summary>How long a command of one device may wait, safely below the time after which the kernel gives it up.</summary>
/// <remarks>
/// Past cmd_time_out the kernel fails a command without telling who works on it (drivers/target/target_core_user.c, tcmu_check_expired_ring_cmd):
/// what the command does later may overwrite what its initiator has written since. The rest of the time is for what our limit does not count,
/// the wait in the ring and the local disk.
/// </remarks>
internal static class DeviceDeadline
{
    private const double KernelShare = 0.6;

    private static readonly TimeSpan Min = TimeSpan.FromSeconds(1);

    /// <summary>The command timeout of a device.</summary>
    /// <param name="configured">volumes.commandTimeoutSeconds.</param>
    /// <param name="kernelTimeout">The device's cmd_time_out. Zero, or null for an unknown one: the kernel never gives up.</param>
    public static TimeSpan Of(TimeSpan configured, TimeSpan? kernelTimeout)
    {
        if (kernelTimeout is not { } kernel || kernel <= TimeSpan.Zero) return configured;
        var safe = kernel * KernelShare;
        if (safe < Min) safe = Min;
        return safe < configured ? safe : configured;
    }
}
