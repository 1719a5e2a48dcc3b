using System.Globalization;

namespace Gateway.Tcmu;

/// <summary>The name of a TCMU device, as its UIO device carries it: <c>tcm-user/&lt;hba&gt;/&lt;device&gt;/&lt;dev_config&gt;</c>.</summary>
/// <param name="Hba">Number of the HBA, of configfs directory <c>user_&lt;hba&gt;</c>.</param>
/// <param name="Device">Name of the device: its configfs directory. Never empty, ".", ".." or with a slash.</param>
/// <param name="Config">dev_config, verbatim; its first path element is the subtype that selects a daemon.</param>
public readonly record struct TcmuDeviceName(uint Hba, string Device, string Config)
{
    /// <summary>The subtype of this program's devices.</summary>
    public const string GatewaySubtype = "gateway";

    private const string Prefix = "tcm-user";

    /// <summary>First path element of <see cref="Config"/>.</summary>
    public string Subtype => Config.Split('/', 2)[0];

    /// <summary>What follows the subtype, without the slash: for this program's devices <c>&lt;store&gt;/&lt;volume&gt;</c>.</summary>
    public string Path => Config.Split('/', 2) is [_, var path] ? path : "";

    /// <summary>True if the device is this program's to serve.</summary>
    public bool IsGateway => Subtype == GatewaySubtype;

    /// <summary>The device's directory below a configfs root.</summary>
    public string ConfigfsPath => $"target/core/user_{Hba.ToString(CultureInfo.InvariantCulture)}/{Device}";

    /// <summary>Decodes a UIO device's name; false if it is another driver's, or not well-formed. A newline at the end is dropped.</summary>
    public static bool TryParse(string text, out TcmuDeviceName name)
    {
        name = default;
        if (text.EndsWith('\n')) text = text[..^1];
        var parts = text.Split('/', 4);
        if (parts.Length < 3 || parts[0] != Prefix || !uint.TryParse(parts[1], NumberStyles.None, CultureInfo.InvariantCulture, out var hba)) return false;
        if (parts[2] is "" or "." or ".." || parts[2].Contains('\0', StringComparison.Ordinal)) return false;
        name = new TcmuDeviceName(hba, parts[2], parts.Length == 4 ? parts[3] : "");
        return true;
    }

    /// <summary>Decodes a UIO device's name.</summary>
    /// <exception cref="FormatException">It is not one of TCMU's.</exception>
    public static TcmuDeviceName Parse(string text) =>
        TryParse(text, out var name) ? name : throw new FormatException($"'{text}' is not a TCMU device name (tcm-user/<hba>/<device>/<dev_config>).");

    public override string ToString() => $"{Prefix}/{Hba.ToString(CultureInfo.InvariantCulture)}/{Device}/{Config}";
}
