using System.Net;
using Gateway.Backends.Core;

namespace Gateway.Configuration;

/// <summary>How the daemon is talked to: what the other commands of this program do when the daemon runs.</summary>
internal sealed record ControlSection
{
    public const string DefaultSocket = "/run/tcmu-gateway/control.sock";

    /// <summary>The Unix socket of the control API, absolute; null: none. Default /run/tcmu-gateway/control.sock.</summary>
    public string? Socket { get; set; } = DefaultSocket;

    /// <summary>A group whose members may use the socket, too, and so do all that the commands do. Default none: its owner, root, alone.</summary>
    public string? Group { get; set; }

    /// <summary>ADDRESS:PORT where the control API is served over TLS, to clients with a certificate of clientCaFile. Default none.</summary>
    public string? Listen { get; set; }

    /// <summary>listen: the server's certificate, PEM.</summary>
    public string? CertificateFile { get; set; }

    /// <summary>listen: its private key, PEM.</summary>
    public string? KeyFile { get; set; }

    /// <summary>listen: certificate authorities of the clients, PEM.</summary>
    public string? ClientCaFile { get; set; }

    public IEnumerable<string> Faults()
    {
        // sockaddr_un holds 107 bytes and a zero (unix(7)).
        if (Socket is { } socket && (!Path.IsPathRooted(socket) || System.Text.Encoding.UTF8.GetByteCount(socket) > 107)) yield return "socket: must be an absolute path of at most 107 bytes, or null for none";
        if (Listen is { } listen && !(IPEndPoint.TryParse(listen, out var end) && end.Port != 0)) yield return "listen: must be ADDRESS:PORT, for example 0.0.0.0:7420 or [::]:7420";
        foreach (var (name, file) in ((string, string?)[])[("certificateFile", CertificateFile), ("keyFile", KeyFile), ("clientCaFile", ClientCaFile)])
        {
            if (Listen is not null && file is null) yield return $"{name}: needed with listen, since who may control the gateway is decided by certificates";
            if (Listen is null && file is not null) yield return $"{name}: this belongs to listen";
            if (file is not null && !Path.IsPathRooted(file)) yield return $"{name}: must be an absolute path";
        }
    }
}
