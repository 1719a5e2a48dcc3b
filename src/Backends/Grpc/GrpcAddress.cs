using System.Net;

namespace Gateway.Backends.Grpc;

/// <summary>Where a blob server is: <c>http://host[:port]</c>, <c>https://host[:port]</c> or <c>unix:///path</c>.</summary>
public sealed record GrpcAddress
{
    /// <summary>How an address is written, for people.</summary>
    public const string Syntax = "http://HOST:PORT, https://HOST:PORT or unix:///PATH";

    private const string UnixPrefix = "unix://";

    private GrpcAddress(Uri? uri, string? socketPath) => (Uri, SocketPath) = (uri, socketPath);

    /// <summary>Scheme, host and port; null for a socket.</summary>
    public Uri? Uri { get; }

    /// <summary>Absolute path of a Unix domain socket; null for a network address.</summary>
    public string? SocketPath { get; }

    /// <summary>True for https.</summary>
    public bool IsTls => Uri?.Scheme == Uri.UriSchemeHttps;

    /// <summary>True if only this machine can reach it.</summary>
    public bool IsLocal => Uri is null || Uri.IsLoopback || (IPAddress.TryParse(Uri.IdnHost, out var address) && IPAddress.IsLoopback(address));

    /// <summary>Null if the text is no address.</summary>
    public static GrpcAddress? TryParse(string? text)
    {
        if (text is null) return null;
        if (text.StartsWith(UnixPrefix, StringComparison.Ordinal))
        {
            var path = text[UnixPrefix.Length..];
            // A socket's path has room for 107 bytes and a zero (sockaddr_un).
            return path.Length is > 1 and <= 107 && path[0] == '/' && path[^1] != '/' && System.Text.Ascii.IsValid(path) && !path.Contains('\0') ? new GrpcAddress(null, path) : null;
        }

        return System.Uri.TryCreate(text, UriKind.Absolute, out var uri) && uri.Scheme is "http" or "https" && uri is { AbsolutePath: "/", Query: "", Fragment: "", UserInfo: "" }
            ? new GrpcAddress(uri, null)
            : null;
    }

    public override string ToString() => Uri?.GetLeftPart(UriPartial.Authority) ?? UnixPrefix + SocketPath;
}
