using System.Net.Sockets;
using System.Text;

namespace Gateway.Serving;

/// <summary>Tells the service manager one line about the daemon, which <c>systemctl status</c> shows: sd_notify(3), STATUS=. Not thread safe.</summary>
internal sealed class ServiceStatus : IDisposable
{
    private const int LengthMaxChars = 2000;

    private readonly Socket? _socket;
    private string _told = "";

    /// <param name="socketPath">Value of NOTIFY_SOCKET: a path, or a name that begins with '@' (unix(7), abstract). Null or empty: nobody listens.</param>
    public ServiceStatus(string? socketPath)
    {
        if (string.IsNullOrEmpty(socketPath)) return;
        _socket = new Socket(AddressFamily.Unix, SocketType.Dgram, ProtocolType.Unspecified) { Blocking = false };
        try
        {
            _socket.Connect(new UnixDomainSocketEndPoint(socketPath[0] == '@' ? '\0' + socketPath[1..] : socketPath));
        }
        catch (SocketException)
        {
            _socket.Dispose(); // A manager that is gone is no reason not to serve.
            _socket = null;
        }
    }

    /// <summary>False if nobody listens.</summary>
    public bool IsHeard => _socket is not null;

    /// <summary>Sends the line if it differs from the last one sent. A line that cannot be sent now is sent by a later call.</summary>
    /// <remarks>Line breaks become spaces: behind one, a reason that a store gave would be an assignment of its own.</remarks>
    public void Tell(string line)
    {
        if (_socket is null || line == _told) return;
        var text = line.Length > LengthMaxChars ? line[..LengthMaxChars] : line;
        try
        {
            _socket.Send(Encoding.UTF8.GetBytes("STATUS=" + text.ReplaceLineEndings(" ").Replace('\0', ' ')));
            _told = line;
        }
        catch (SocketException)
        {
            // Its queue is full, or it restarts.
        }
    }

    /// <summary>Says that we live: WATCHDOG=1. One that cannot be sent now is lost.</summary>
    public void Ping()
    {
        try
        {
            _socket?.Send("WATCHDOG=1"u8);
        }
        catch (SocketException)
        {
            // As above; the next one comes soon.
        }
    }

    public void Dispose() => _socket?.Dispose();
}
