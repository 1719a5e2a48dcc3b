namespace Gateway.Tcmu;

/// <summary>Something that the owner of devices has to act on.</summary>
public abstract record TcmuEvent;

/// <summary>Events were lost: compare sysfs with what is being served.</summary>
public sealed record RescanNeeded : TcmuEvent;

/// <summary>An event about one of this program's devices. The kernel holds the operation until <see cref="Reply"/>.</summary>
/// <param name="Name">The device, as it is named at that moment.</param>
/// <param name="DeviceId">The kernel's number of the device, which the reply carries.</param>
public abstract record DeviceEvent(TcmuDeviceName Name, uint DeviceId) : TcmuEvent
{
    private int _replied;

    internal Action<DeviceEvent, int>? Sender { get; init; }

    /// <summary>The TCMU_CMD_*_DONE that answers this event.</summary>
    internal abstract TcmuGenlCommand DoneCommand { get; }

    /// <summary>Lets the kernel's operation go on, or fail. Only the first call has an effect. Thread safe.</summary>
    /// <param name="status">0, or a negative errno that the operation's caller sees.</param>
    public void Reply(int status)
    {
        if (Interlocked.Exchange(ref _replied, 1) == 0) Sender?.Invoke(this, status);
    }
}

/// <summary>A device was enabled. Its node may still be on its way.</summary>
/// <param name="Name">The device.</param>
/// <param name="DeviceId">The kernel's number of it.</param>
/// <param name="Minor">Number of its UIO device.</param>
public sealed record DeviceAdded(TcmuDeviceName Name, uint DeviceId, uint Minor) : DeviceEvent(Name, DeviceId)
{
    internal override TcmuGenlCommand DoneCommand => TcmuGenlCommand.AddedDone;
}

/// <summary>A device is being removed: stop serving it, close it, then reply.</summary>
/// <param name="Name">The device.</param>
/// <param name="DeviceId">The kernel's number of it.</param>
/// <param name="Minor">Number of its UIO device.</param>
public sealed record DeviceRemoved(TcmuDeviceName Name, uint DeviceId, uint Minor) : DeviceEvent(Name, DeviceId)
{
    internal override TcmuGenlCommand DoneCommand => TcmuGenlCommand.RemovedDone;
}

/// <summary>An attribute is being written; it takes effect in configfs once the reply is 0. What is not changed is null.</summary>
/// <param name="Name">The device.</param>
/// <param name="DeviceId">The kernel's number of it.</param>
/// <param name="Config">New dev_config.</param>
/// <param name="CapacityBytes">New dev_size.</param>
/// <param name="WriteCache">New emulate_write_cache.</param>
public sealed record DeviceReconfigured(TcmuDeviceName Name, uint DeviceId, string? Config, long? CapacityBytes, bool? WriteCache) : DeviceEvent(Name, DeviceId)
{
    internal override TcmuGenlCommand DoneCommand => TcmuGenlCommand.ReconfigDone;
}
