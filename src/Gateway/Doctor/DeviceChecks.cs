using System.Globalization;
using Gateway.Cli;
using Gateway.Serving;
using Gateway.Tcmu;

namespace Gateway.Doctor;

/// <summary>The kernel's side of our TCMU devices: the attributes that decide on time limits, transfer sizes and memory.</summary>
/// <param name="host">Where to look.</param>
/// <param name="commandTimeout">volumes.commandTimeoutSeconds.</param>
internal sealed class DeviceChecks(Host host, TimeSpan commandTimeout) : ICheckFamily
{
    private const long TransferWantedBytes = 1 << 20;
    private const long DataAreaWantedBytes = 64L << 20;
    private const string Remake = "It is fixed once the device is made: unexport the volume and export it again with the gateway ('tcmu-gateway target export'), which sets 4 MiB and 128 MiB.";

    public string Name => "devices";

    public Task<IReadOnlyList<Finding>> RunAsync(CancellationToken cancellationToken)
    {
        var found = new Findings(Name);
        var devices = Devices().ToArray();
        foreach (var device in devices) Device(found, device);
        if (devices.Length > 0) DataAreas(found, devices);
        else if (host.Exists(host.Configfs("target"))) found.Ok("devices", "the kernel has none of ours");
        else found.NotLooked("devices", "the kernel's target is not there", null);
        return Task.FromResult(found.All);
    }

    /// <summary>Devices with our subtype, whoever made them.</summary>
    private IEnumerable<TcmuDeviceName> Devices() =>
        from hba in host.List(host.Configfs("target/core"))
        where hba.StartsWith("user_", StringComparison.Ordinal)
        let number = uint.TryParse(hba.AsSpan("user_".Length), NumberStyles.None, CultureInfo.InvariantCulture, out var n) ? n : (uint?)null
        where number is not null
        from name in host.List(host.Configfs($"target/core/{hba}"))
        let configuration = host.Read(host.Configfs($"target/core/{hba}/{name}/attrib/dev_config"))
        where configuration is not null
        let device = new TcmuDeviceName(number.Value, name, configuration)
        where device.IsGateway
        select device;

    private void Device(Findings found, TcmuDeviceName device)
    {
        var attributes = new TcmuBackstore(host.Files, host.Roots.Kernel.Configfs, device).ReadAttributes();
        var folder = host.Configfs(device.ConfigfsPath);
        var count = found.All.Count;
        if (host.Read(Path.Combine(folder, "enable")) is "0")
            found.Warning(Check("enable"), "the device is there and not enabled", "Remove it, or enable it while the gateway runs: 'tcmu-gateway events' says why the gateway refused it.");
        TimeLimits(found, attributes, folder);
        if (attributes.TaskManagementNotification is false)
            found.Warning(Check("tmr_notification"), "0: the gateway is not told when initiators abort commands, and goes on with what nobody waits for", $"echo 1 > {folder}/attrib/tmr_notification");
        if (attributes is { TransferMaxBlocks: { } blocks, BlockLengthBytes: { } block } && blocks * block < TransferWantedBytes)
            found.Warning(Check("hw_max_sectors"), $"{blocks}: transfers are cut into pieces of {ByteSize.Format(blocks * block)}", Remake);
        if (attributes.DataAreaMaxBytes is { } area and < DataAreaWantedBytes)
            found.Warning(Check("max_data_area_mb"), $"{area >> 20}: large or many commands wait for kernel memory", Remake);
        if (found.All.Count == count)
        {
            found.Ok(device.Path, string.Create(CultureInfo.InvariantCulture,
                $"cmd_time_out {Seconds(attributes.CommandTimeout)}, qfull_time_out {Seconds(attributes.QueueFullTimeout)}, transfers of up to {ByteSize.Format((attributes.TransferMaxBlocks * attributes.BlockLengthBytes) ?? 0)}, data area {ByteSize.Format(attributes.DataAreaMaxBytes ?? 0)}"));
        }

        string Check(string attribute) => $"{device.Path} {attribute}";

        void TimeLimits(Findings findings, BackstoreAttributes known, string directory)
        {
            if (known.CommandTimeout is { } kernel && kernel > TimeSpan.Zero)
            {
                findings.Warning(Check("cmd_time_out"), string.Create(CultureInfo.InvariantCulture,
                    $"{kernel.TotalSeconds:0} s: past it the kernel fails a command while the gateway still works on it; so commands that wait for the store end after {DeviceDeadline.Of(commandTimeout, kernel).TotalSeconds:0.#} s"),
                    $"Unexport the volume, echo 0 > {directory}/attrib/cmd_time_out, and export it again; 'tcmu-gateway target export' does so by itself.");
            }

            if (known.QueueFullTimeout is not { } full) return;
            if (full < TimeSpan.Zero) findings.Warning(Check("qfull_time_out"), "-1: as long as cmd_time_out; where that is 0, commands that find the ring full wait for ever", $"echo 5 > {directory}/attrib/qfull_time_out");
            else if (full == TimeSpan.Zero) findings.Note(Check("qfull_time_out"), "0: a command that finds the ring full ends in TASK SET FULL at once", $"If initiators suffer: echo 5 > {directory}/attrib/qfull_time_out");
        }
    }

    private void DataAreas(Findings found, TcmuDeviceName[] devices)
    {
        const string Check = "data areas together";
        var parameter = host.Sys("module/target_core_user/parameters/global_max_data_area_mb");
        if (host.ReadNumber(parameter) is not { } limit) return; // Kernels before it had one limit for each device alone.
        var sum = devices.Sum(d => new TcmuBackstore(host.Files, host.Roots.Kernel.Configfs, d).ReadAttributes().DataAreaMaxBytes ?? 0) >> 20;
        if (sum > 2 * limit)
            found.Note(Check, $"{sum} MiB for {devices.Length} devices, {limit} MiB at most at a time: under load they wait for each other", $"echo {sum} > {parameter}, if the host has the memory");
        else found.Ok(Check, $"{sum} MiB for {devices.Length} devices, {limit} MiB at most at a time");
    }

    private static string Seconds(TimeSpan? time) => time is { } t ? string.Create(CultureInfo.InvariantCulture, $"{t.TotalSeconds:0} s") : "unknown";
}
