using System.Net.Sockets;
using System.Text;
using Gateway.Backends.Resilience;
using Gateway.Serving;
using Xunit;

namespace Gateway.Tests;

/// <summary>What <c>systemctl status</c> says of the daemon.</summary>
public sealed class ServiceStatusTests : IDisposable
{
    private static readonly StoreHealth Well = new(CircuitState.Closed, default, null, null, 0, 0, 0, 0, 0, 0, default, default);

    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("gateway-status-");
    private readonly Socket _manager = new(AddressFamily.Unix, SocketType.Dgram, ProtocolType.Unspecified) { Blocking = false };

    public void Dispose()
    {
        _manager.Dispose();
        _folder.Delete(recursive: true);
    }

    [Fact]
    public void Tell_LineChanges_IsSentOncePerChange()
    {
        using var status = new ServiceStatus(Listen());

        foreach (var line in new[] { "1 volume served", "1 volume served", "2 volumes served" }) status.Tell(line);

        Assert.Equal(["STATUS=1 volume served", "STATUS=2 volumes served"], Received());
    }

    /// <summary>sd_notify separates assignments by line feeds: a store's error text must not make one.</summary>
    [Fact]
    public void Tell_LineBreakInAReason_StaysOneAssignment()
    {
        using var status = new ServiceStatus(Listen());

        status.Tell("not open: local/v (it said\nMAINPID=1\r\nand more)");

        Assert.Equal(["STATUS=not open: local/v (it said MAINPID=1 and more)"], Received());
    }

    /// <summary>A manager that does not read must not hold the daemon up, and gets the line in the end.</summary>
    [Fact]
    public void Tell_QueueOfTheManagerIsFull_LineIsSentByALaterCall()
    {
        using var status = new ServiceStatus(Listen());
        for (var i = 0; i < 4096; i++) status.Tell($"line {i}");
        status.Tell("2 volumes served");
        Assert.DoesNotContain("STATUS=2 volumes served", Received());

        status.Tell("2 volumes served");

        Assert.Equal(["STATUS=2 volumes served"], Received());
    }

    [Theory, InlineData(null), InlineData(""), InlineData("/nowhere/notify")]
    public void Tell_NobodyListens_NothingHappens(string? socket)
    {
        using var status = new ServiceStatus(socket);

        status.Tell("1 volume served");

        Assert.False(status.IsHeard);
    }

    [Fact]
    public void Of_EverythingServed_IsANumber() =>
        Assert.Equal("1 volume served", StatusLine.Of([new("local/a", null, false)], [("local", Well)]));

    [Fact]
    public void Of_SomeAreNotServed_SaysWhichAndWhy()
    {
        var line = StatusLine.Of(
            [new("s/c", "no such volume", false), new("s/a", null, false), new("s/b", "node-2 serves it", true), new("s/d", null, false)],
            [("s", Well with { State = CircuitState.Open, Since = DateTimeOffset.UnixEpoch, LastError = "timed out" })]);

        Assert.Equal("2 volumes served, 1 standing by: s/b (node-2 serves it), 1 not open: s/c (no such volume); breaker open for store s since 1970-01-01 00:00:00Z (timed out)", line);
    }

    [Fact]
    public void Of_ManyStandBy_NamesTheFirst()
    {
        var line = StatusLine.Of(Enumerable.Range(0, 5).Select(i => new ServedVolume($"s/{i}", "why", true)), []);

        Assert.Equal("0 volumes served, 5 standing by: s/0 (why), s/1 (why), s/2 (why) and 2 more", line);
    }

    private string Listen()
    {
        var path = Path.Combine(_folder.FullName, "notify");
        _manager.Bind(new UnixDomainSocketEndPoint(path));
        return path;
    }

    private List<string> Received()
    {
        var messages = new List<string>();
        var buffer = new byte[4096];
        while (_manager.Available > 0) messages.Add(Encoding.UTF8.GetString(buffer, 0, _manager.Receive(buffer)));
        return messages;
    }
}
