using System.Net.Sockets;
using System.Runtime.InteropServices;
using Gateway.Interop;

namespace Gateway.Control;

/// <summary>The Unix socket that the control API listens on: its owner's alone, or a group's, before anybody can connect.</summary>
internal static class ControlSocket
{
    /// <summary>Binds it; the caller listens, so that its mode is right before the first connection.</summary>
    /// <exception cref="IOException">It cannot be made; the message says why.</exception>
    public static Socket Bind(string path, string? group)
    {
        var gid = group is null ? (uint?)null : GroupId(group) ?? throw new IOException($"there is no group '{group}' on this host: make it, or correct control.group");
        var directory = Path.GetDirectoryName(path)!;
        try
        {
            if (!Directory.Exists(directory)) Directory.CreateDirectory(directory, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute | UnixFileMode.GroupRead | UnixFileMode.GroupExecute | UnixFileMode.OtherRead | UnixFileMode.OtherExecute);
            if (File.Exists(path))
            {
                if (IsServed(path)) throw new IOException($"another process serves '{path}': only one gateway can run on a host");
                File.Delete(path); // Of one that was killed.
            }
        }
        catch (UnauthorizedAccessException e)
        {
            throw new IOException(e.Message, e);
        }

        var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            socket.Bind(new UnixDomainSocketEndPoint(path));
            File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserWrite);
            if (gid is { } id)
            {
                if (Libc.Chown(path, Libc.Unchanged, id) != 0) throw new IOException($"'{path}' cannot be given to group '{group}': {Marshal.GetLastPInvokeErrorMessage()}");
                File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupRead | UnixFileMode.GroupWrite);
            }

            return socket;
        }
        catch (Exception e)
        {
            socket.Dispose();
            if (e is SocketException or UnauthorizedAccessException) throw new IOException($"'{path}' cannot be bound: {e.Message}", e);
            throw;
        }
    }

    /// <summary>The id of a group of /etc/group; null if it has none of that name.</summary>
    private static uint? GroupId(string name)
    {
        if (uint.TryParse(name, out var number)) return number;
        foreach (var line in File.ReadLines("/etc/group"))
            if (line.Split(':') is [var group, _, var id, ..] && group == name && uint.TryParse(id, out var gid)) return gid;
        return null;
    }

    private static bool IsServed(string path)
    {
        using var probe = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            probe.Connect(new UnixDomainSocketEndPoint(path));
            return true;
        }
        catch (SocketException)
        {
            return false;
        }
    }
}
