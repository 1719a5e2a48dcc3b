using System.Globalization;
using System.Text.RegularExpressions;

namespace Gateway.Doctor;

/// <summary>The initiator's patience, where our disks are used on this host: SCSI timeouts, the iSCSI session's, iscsid's settings for new ones.</summary>
/// <param name="host">Where to look.</param>
/// <param name="commandTimeout">volumes.commandTimeoutSeconds: after that the gateway has answered.</param>
internal sealed partial class InitiatorChecks(Host host, TimeSpan commandTimeout) : ICheckFamily
{
    private const string Vendor = "LIO-ORG";
    private const string Model = "tcmu-gateway";

    /// <summary>Without multipath a session that is gone fails its commands after this; a target's host takes about as long to come back from a reboot.</summary>
    private const int ReplacementAloneMin = 60;

    /// <summary>With multipath nobody should wait for long before the other path is taken.</summary>
    private const int ReplacementMultipathMax = 30;

    public string Name => "initiator";

    public Task<IReadOnlyList<Finding>> RunAsync(CancellationToken cancellationToken)
    {
        var found = new Findings(Name);
        var disks = host.List(host.Sys("block")).Where(IsOurs).ToArray();
        foreach (var disk in disks) Disk(found, disk);
        if (disks.Length == 0) found.Ok("disks", "no disk of this host is one of ours");
        Iscsid(found);
        return Task.FromResult(found.All);
    }

    private bool IsOurs(string disk) => host.Read(Of(disk, "device/vendor")) == Vendor && host.Read(Of(disk, "device/model")) == Model;

    private void Disk(Findings found, string disk)
    {
        var count = found.All.Count;
        var (timeout, errors) = (host.ReadNumber(Of(disk, "device/timeout")), host.ReadNumber(Of(disk, "device/eh_timeout")));
        var needed = (int)Math.Ceiling(commandTimeout.TotalSeconds * 1.25) + 1;
        if (host.Read(Of(disk, "device/state")) is { } state and not "running")
            found.Fault($"{disk} state", state, $"The initiator gave the disk up. When the gateway answers again: echo running > /sys/block/{disk}/device/state; iSCSI: log out and in again.");
        if (timeout < needed)
            found.Warning($"{disk} timeout", Text($"{timeout} s; the gateway may take {commandTimeout.TotalSeconds:0.#} s (volumes.commandTimeoutSeconds): outages of the store become aborts and resets"), $"echo {Math.Max(30, needed)} > /sys/block/{disk}/device/timeout; for good by a udev rule. Or make commandTimeoutSeconds less.");
        if (errors is < 5)
            found.Warning($"{disk} eh_timeout", $"{errors} s: an abort that takes longer ends in a reset of the disk", $"echo 10 > /sys/block/{disk}/device/eh_timeout");
        Session(found, disk);
        if (found.All.Count == count) found.Ok(disk, $"timeout {timeout} s, eh_timeout {errors} s{(SessionOf(disk) is { } session ? $", session's recovery {host.Read(Recovery(session))} s" : "")}");
    }

    /// <summary>How long the session's commands wait for a connection that is gone.</summary>
    private void Session(Findings found, string disk)
    {
        if (SessionOf(disk) is not { } session || host.ReadNumber(Recovery(session)) is not { } seconds) return;
        var check = $"{disk} replacement_timeout";
        var isMultipath = host.List(Of(disk, "holders")).Any(h => host.Read(host.Sys($"block/{h}/dm/uuid"))?.StartsWith("mpath-", StringComparison.Ordinal) == true);
        if (isMultipath && seconds > ReplacementMultipathMax)
            found.Warning(check, $"{seconds} s, and multipath uses the disk: only after that the other path is tried", $"{Set(15)}, and log in again.");
        else if (!isMultipath && seconds < ReplacementAloneMin)
            found.Warning(check, $"{seconds} s, and no multipath: a network or a target that is away for longer ends in I/O errors", $"{Set(120)}, and log in again.");
    }

    private void Iscsid(Findings found)
    {
        var file = Path.Combine(host.Roots.Etc, "iscsi/iscsid.conf");
        if (!host.Exists(file)) return; // No initiator here.
        if (host.Read(file) is not { } text)
        {
            found.NotLooked("iscsid.conf", $"'{file}' cannot be read", "Run this as root.");
            return;
        }

        var values = Setting().Matches(text).ToLookup(m => m.Groups[1].Value, m => m.Groups[2].Value);
        string Value(string name, string none) => values[name].LastOrDefault() ?? none;
        var (interval, wait) = (Value("node.conn[0].timeo.noop_out_interval", "5"), Value("node.conn[0].timeo.noop_out_timeout", "5"));
        found.Ok("iscsid.conf", $"for new sessions: replacement_timeout {Value("node.session.timeo.replacement_timeout", "120")} s, noop_out {interval} s + {wait} s");
    }

    private static string Set(int seconds) => Text($"iscsiadm -m node -T TARGET -o update -n node.session.timeo.replacement_timeout -v {seconds}");

    private string Of(string disk, string file) => host.Sys($"block/{disk}/{file}");

    private string Recovery(string session) => host.Sys($"class/iscsi_session/{session}/recovery_tmo");

    /// <summary>"session1" if the disk is reached over iSCSI: it is part of the device's place in sysfs.</summary>
    private string? SessionOf(string disk)
    {
        try
        {
            var target = new DirectoryInfo(Of(disk, "device")).ResolveLinkTarget(returnFinalTarget: true)?.FullName ?? "";
            return SessionInPath().Match(target) is { Success: true } match ? match.Groups[1].Value : null;
        }
        catch (IOException)
        {
            return null;
        }
    }

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);

    [GeneratedRegex("/(session[0-9]+)/")]
    private static partial Regex SessionInPath();

    [GeneratedRegex(@"^\s*(node\.[^=\s]+)\s*=\s*(\S+)", RegexOptions.Multiline)]
    private static partial Regex Setting();
}
