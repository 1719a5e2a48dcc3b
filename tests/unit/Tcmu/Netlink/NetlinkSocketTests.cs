using Gateway.Tcmu.Interop;
using Xunit;

namespace Gateway.Tcmu.Tests.Netlink;

public sealed class NetlinkSocketTests
{
    [Fact]
    public void Kernel_AskedForTheFamily_AnswersEitherWay()
    {
        using var socket = new NetlinkSocket();
        socket.Send(TcmuGenl.WriteGetFamily(stackalloc byte[TcmuGenl.MessageLengthMaxBytes], 5));
        var buffer = new byte[8192];

        ReadOnlySpan<byte> datagram = buffer.AsSpan(0, socket.Receive(buffer));

        Assert.True(Gateway.Tcmu.Netlink.TryTake(ref datagram, out var answer));
        Assert.Equal(5u, answer.Sequence);
        Assert.True(answer.Error == -Libc.ENOENT || TcmuGenl.TryReadFamily(answer, out _));
    }

    [Fact]
    public void Receive_Stopped_Ends()
    {
        using var socket = new NetlinkSocket();

        socket.Stop();

        Assert.Equal(INetlinkTransport.Stopped, socket.Receive(new byte[16]));
    }
}
