using Microsoft.Extensions.Logging;

namespace Gateway.Tcmu;

/// <summary>Opens a device's ring, cleared of what a killed predecessor left.</summary>
/// <remarks>
/// After out-of-order completion the entries between cmd_tail and cmd_head do not tell which commands are outstanding, so a ring that someone
/// else has worked on cannot be taken over as it is. Steps, as the kernel wants them: block the device (new commands get BUSY), open and map,
/// reset the ring (outstanding commands get BUSY, which initiators retry), unblock. The mailbox is read after the reset, by
/// <see cref="RingDevice"/>. Whatever fails, the device is unblocked again: a blocked one answers BUSY for ever.
/// A device whose enabling waits for our reply to <see cref="DeviceAdded"/> refuses these actions with EINVAL. Its ring is new, and is opened as it is.
/// </remarks>
/// <param name="files">Access to configfs.</param>
/// <param name="configfsRoot">Where configfs is mounted: <c>/sys/kernel/config</c>.</param>
/// <param name="discovery">Finds the node.</param>
/// <param name="time">Clock of waits.</param>
/// <param name="logger">Where to log.</param>
/// <param name="openNode">Opens the ring of a node, given the length of its region; null: by UIO.</param>
public sealed class TcmuDeviceOpener(IKernelFiles files, string configfsRoot, UioDiscovery discovery, TimeProvider time, ILogger logger, Func<string, long, IRingPort>? openNode = null)
{
    /// <summary>Times a reset or an unblocking is tried.</summary>
    public const int ActionAttemptsMax = 5;

    private const int ErrnoInvalid = 22; // EINVAL; an IOException of .NET has the errno as its HResult.

    private static readonly TimeSpan ActionRetryWait = TimeSpan.FromMilliseconds(100);

    /// <summary>Opens a device that <see cref="UioDiscovery"/> found.</summary>
    /// <exception cref="IOException">The node does not come, another daemon has it open, or configfs lacks or refuses an action.</exception>
    public async Task<IRingPort> OpenAsync(UioDevice device, CancellationToken cancellationToken)
    {
        var node = await discovery.WaitForNodeAsync(device, cancellationToken);
        return await OpenAsync(new TcmuBackstore(files, configfsRoot, device.Name), () => (openNode ?? UioPort.Open)(node, device.MapLengthBytes), cancellationToken);
    }

    /// <summary>The steps, with the opening given.</summary>
    internal async Task<IRingPort> OpenAsync(TcmuBackstore backstore, Func<IRingPort> open, CancellationToken cancellationToken)
    {
        if (!backstore.HasRingActions)
        {
            throw new IOException(
                $"{backstore.Name}: configfs has no action/block_dev and action/reset_ring for it below {configfsRoot}. Is configfs mounted here, and the kernel 4.20 or newer?");
        }

        IRingPort? port = null;
        var mayBeBlocked = true;
        try
        {
            mayBeBlocked = TryBlock(backstore);
            if (!mayBeBlocked)
            {
                port = OpenNew(backstore, open);
                AskForTaskManagement(backstore);
                return port;
            }

            port = open();
            await RetryAsync("reset_ring", backstore, backstore.ResetRing, cancellationToken);
        }
        catch
        {
            port?.Dispose();
            if (mayBeBlocked) await UnblockAsync(backstore, isFailing: true);
            throw;
        }

        try
        {
            await UnblockAsync(backstore, isFailing: false);
            AskForTaskManagement(backstore);
            return port;
        }
        catch
        {
            port.Dispose();
            throw;
        }
    }

    /// <summary>False if the device is not enabled yet.</summary>
    private static bool TryBlock(TcmuBackstore backstore)
    {
        try
        {
            backstore.SetBlocked(true);
            return true;
        }
        catch (IOException e) when (e.HResult == ErrnoInvalid)
        {
            return false;
        }
    }

    private static IRingPort OpenNew(TcmuBackstore backstore, Func<IRingPort> open)
    {
        var port = open();
        if (Volatile.Read(ref port.Memory.Field(Mailbox.CmdTailOffset)) == 0) return port;
        port.Dispose();
        throw new IOException($"{backstore.Name}: the kernel refuses to block it (EINVAL), but its ring was in use.");
    }

    /// <summary>Has TMR entries come, with which the commands that an abort or a reset concerns end at once. A device serves without them, too.</summary>
    private void AskForTaskManagement(TcmuBackstore backstore)
    {
        switch (backstore.ReadAttributes().TaskManagementNotification)
        {
            case true:
                return;
            case null:
                DeviceLog.TaskManagementNotNotified(logger, backstore.Name, "it has no attrib/tmr_notification; newer ones have it");
                return;
        }

        try
        {
            backstore.WriteAttribute("tmr_notification", "1");
        }
        catch (IOException e)
        {
            DeviceLog.TaskManagementNotNotified(logger, backstore.Name, $"attrib/tmr_notification cannot be set: {e.Message}");
        }
    }

    /// <summary>Not cancelled: to leave a device blocked is worse than to come late.</summary>
    private async Task UnblockAsync(TcmuBackstore backstore, bool isFailing)
    {
        try
        {
            await RetryAsync("block_dev", backstore, () => backstore.SetBlocked(false), CancellationToken.None);
        }
        catch (IOException e) when (isFailing)
        {
            DeviceLog.LeftBlocked(logger, backstore.Name, e); // The first failure is the one to report.
        }
    }

    private async Task RetryAsync(string action, TcmuBackstore backstore, Action attempt, CancellationToken cancellationToken)
    {
        for (var attempts = 1; ; attempts++)
        {
            try
            {
                attempt();
                return;
            }
            catch (IOException e) when (attempts < ActionAttemptsMax)
            {
                DeviceLog.ActionRetried(logger, action, backstore.Name, attempts, e);
            }
            catch (IOException e)
            {
                throw new IOException($"{backstore.Name}: action/{action} failed {attempts} times: {e.Message}", e);
            }

            await Task.Delay(ActionRetryWait, time, cancellationToken);
        }
    }
}
