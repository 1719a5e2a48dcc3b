using System.Security.Cryptography;
using System.Text;

namespace Gateway.Lio;

/// <summary>A target whose initiator is this machine (loopback) or a virtual machine (vhost): there is one nexus, and no ACLs.</summary>
public sealed record NexusTarget
{
    /// <summary>The target port: <c>naa.</c> and 16 hexadecimal digits, lower case. Unique in its fabric.</summary>
    public required string Wwn { get; init; }

    /// <summary>The initiator port, in the same form.</summary>
    public required string Nexus { get; init; }

    /// <summary>Its logical units.</summary>
    public required IReadOnlyList<LunMapping> Luns { get; init; }

    /// <summary>A name of the right form that is always the same for one seed: IEEE company id 001405h, then 36 bits of its hash.</summary>
    public static string NameOf(string seed) => $"naa.6001405{Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(seed)))[..9]}";
}
