using System.Threading.Channels;
using Gateway.Tcmu.Interop;
using Microsoft.Extensions.Logging;

namespace Gateway.Tcmu;

/// <summary>Receives the kernel's events about TCMU devices, and sends the replies that it waits for.</summary>
/// <remarks>
/// Order of a start: let go of old waiters (<see cref="TcmuModule"/>), start the monitor (it joins the group and announces replies), then scan
/// (<see cref="UioDiscovery"/>): a device made in between is seen twice, never missed.
/// A dedicated thread receives. It touches no configfs: the kernel holds configfs locks while it waits for a reply. Replies go out from any thread.
/// Events of other daemons' subtypes are left to them.
/// </remarks>
public sealed class TcmuMonitor : IAsyncDisposable
{
    /// <summary>Events waiting to be read; past it the operation they tell of fails with EBUSY, and a <see cref="RescanNeeded"/> follows.</summary>
    public const int WaitingEventsMax = 1024;

    private const int BufferBytes = 64 << 10;
    private const int StatusBusy = -16; // -EBUSY.
    private const int StatusShutdown = -108; // -ESHUTDOWN.
    private const int ErrnoPermission = 1;

    private readonly INetlinkTransport _transport;
    private readonly ILogger _logger;
    private readonly Channel<TcmuEvent> _events = Channel.CreateBounded<TcmuEvent>(WaitingEventsMax);
    private readonly TaskCompletionSource _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly byte[] _buffer = new byte[BufferBytes];
    private readonly Lock _sendLock = new();
    private TcmuFamily _family;
    private uint _sequence;
    private bool _rescanDue;
    private bool _disposed;

    private TcmuMonitor(INetlinkTransport transport, ILogger logger) => (_transport, _logger) = (transport, logger);

    /// <summary>The events, in order. Completes when the monitor is disposed, or with its failure. Each device event wants a reply.</summary>
    public ChannelReader<TcmuEvent> Events => _events.Reader;

    /// <summary>Joins the group, announces replies and starts to receive.</summary>
    /// <exception cref="IOException">The kernel has no TCMU (modprobe target_core_user), or CAP_NET_ADMIN is missing.</exception>
    public static TcmuMonitor Start(ILogger logger) => Start(new NetlinkSocket(), logger);

    internal static TcmuMonitor Start(INetlinkTransport transport, ILogger logger)
    {
        var monitor = new TcmuMonitor(transport, logger);
        try
        {
            monitor.Handshake();
        }
        catch
        {
            transport.Dispose();
            throw;
        }

        new Thread(monitor.Receive) { Name = "tcmu-netlink", IsBackground = true }.Start();
        return monitor;
    }

    /// <summary>Tells the kernel not to wait for replies any more, refuses the events nobody read, and closes.</summary>
    public async ValueTask DisposeAsync()
    {
        lock (_sendLock)
        {
            if (_disposed) return;
            _disposed = true;
        }

        // Otherwise the flag outlives us, and the next device's creation waits for a reply without limit.
        TrySend(buffer => TcmuGenl.WriteSetFeatures(buffer, _family.Id, ++_sequence, supportsReply: false).Length);
        _transport.Stop();
        await _ended.Task;
        while (_events.Reader.TryRead(out var unread)) (unread as DeviceEvent)?.Reply(StatusShutdown);
        lock (_sendLock) _transport.Dispose();
    }

    private void Handshake()
    {
        Span<byte> message = stackalloc byte[TcmuGenl.MessageLengthMaxBytes];
        _transport.Send(TcmuGenl.WriteGetFamily(message, ++_sequence));
        var error = AwaitAnswer(_sequence, isFamily: true);
        if (error == -Libc.ENOENT || (error == 0 && _family.Group is null))
            throw new IOException($"The kernel has no generic netlink family {TcmuGenl.FamilyName}: modprobe target_core_user.");
        ThrowIfError("CTRL_CMD_GETFAMILY", error);

        _transport.JoinGroup(_family.Group!.Value);
        _transport.Send(TcmuGenl.WriteSetFeatures(message, _family.Id, ++_sequence, supportsReply: true));
        error = AwaitAnswer(_sequence, isFamily: false);
        if (error == -ErrnoPermission) throw new IOException("The kernel refuses TCMU_CMD_SET_FEATURES: CAP_NET_ADMIN in the initial user namespace is needed.");
        ThrowIfError("TCMU_CMD_SET_FEATURES", error);
        NetlinkLog.Started(_logger, _family.Id, _family.Group.Value);
    }

    /// <summary>Receives until the answer to a request has come: 0, or a negative errno. Events that come before it are kept.</summary>
    private int AwaitAnswer(uint sequence, bool isFamily)
    {
        while (true)
        {
            var length = _transport.Receive(_buffer);
            if (length == INetlinkTransport.Stopped) throw new IOException("Netlink was closed during the handshake.");
            if (length == INetlinkTransport.Overrun)
            {
                RaiseRescan();
                continue;
            }

            ReadOnlySpan<byte> datagram = _buffer.AsSpan(0, length);
            int? answer = null;
            while (Netlink.TryTake(ref datagram, out var message))
            {
                if (message.Sequence == sequence && message.Type == Netlink.TypeError) answer = message.Error;
                else if (message.Sequence == sequence && isFamily && TcmuGenl.TryReadFamily(message, out _family)) answer = 0;
                else Handle(message);
            }

            if (answer is { } error) return error;
        }
    }

    private void Receive()
    {
        try
        {
            int length;
            while ((length = _transport.Receive(_buffer)) != INetlinkTransport.Stopped)
            {
                if (length == INetlinkTransport.Overrun)
                {
                    RaiseRescan();
                    continue;
                }

                ReadOnlySpan<byte> datagram = _buffer.AsSpan(0, length);
                while (Netlink.TryTake(ref datagram, out var message)) Handle(message);
            }

            _events.Writer.TryComplete();
        }
        catch (Exception e)
        {
            NetlinkLog.Failed(_logger, e);
            _events.Writer.TryComplete(e);
        }

        _ended.TrySetResult();
    }

    private void Handle(in NetlinkMessage message)
    {
        if (message.Type == Netlink.TypeError && message.Error is { } error and < 0) NetlinkLog.ReplyFailed(_logger, -error);
        if (_family.Id == 0 || message.Type != _family.Id || TcmuGenl.ReadEvent(message, SendDone) is not { } received) return;
        if (!received.Name.IsGateway)
        {
            NetlinkLog.Ignored(_logger, received.Name);
            return;
        }

        NetlinkLog.Received(_logger, received);
        if (_rescanDue) RaiseRescan();
        if (_events.Writer.TryWrite(received)) return;
        NetlinkLog.Refused(_logger, received.Name);
        received.Reply(StatusBusy);
        _rescanDue = true;
    }

    private void RaiseRescan()
    {
        if (!_rescanDue) NetlinkLog.Lost(_logger);
        _rescanDue = !_events.Writer.TryWrite(new RescanNeeded());
    }

    private void SendDone(DeviceEvent answered, int status) =>
        TrySend(buffer => TcmuGenl.WriteDone(buffer, _family.Id, ++_sequence, answered.DoneCommand, answered.DeviceId, status).Length);

    private void TrySend(Func<byte[], int> write)
    {
        // Sequence numbers and the socket's end of life are what the lock guards; replies are rare.
        lock (_sendLock)
        {
            try
            {
                var message = new byte[TcmuGenl.MessageLengthMaxBytes];
                var length = write(message);
                _transport.Send(message.AsSpan(0, length));
            }
            catch (ErrnoException e)
            {
                NetlinkLog.ReplyFailed(_logger, e.Errno);
            }
            catch (ObjectDisposedException)
            {
                // A reply after the monitor's end; the kernel does not wait for it any more.
            }
        }
    }

    private static void ThrowIfError(string request, int error)
    {
        if (error != 0) throw new ErrnoException($"netlink {request}", -error);
    }
}
