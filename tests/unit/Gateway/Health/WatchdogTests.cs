using System.Globalization;
using System.Net.Sockets;
using System.Text;
using Gateway.Health;
using Gateway.Volumes.Tests;
using Xunit;

namespace Gateway.Tests.Health;

/// <summary>What the service manager hears of a process that lives, and when.</summary>
public sealed class WatchdogTests : IDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("gateway-watchdog-");
    private readonly Socket _manager = new(AddressFamily.Unix, SocketType.Dgram, ProtocolType.Unspecified) { Blocking = false };
    private readonly ManualTime _time = new();

    public WatchdogTests() => _manager.Bind(new UnixDomainSocketEndPoint(SocketPath));

    private string SocketPath => Path.Combine(_folder.FullName, "notify");

    public void Dispose()
    {
        _manager.Dispose();
        _folder.Delete(recursive: true);
    }

    [Fact]
    public void Ping_EachSecondForAMinute_IsSentThriceInTheTimeThatTheManagerWaits()
    {
        using var watchdog = Start(("WATCHDOG_USEC", "30000000"), ("WATCHDOG_PID", Environment.ProcessId.ToString(CultureInfo.InvariantCulture)));

        for (var second = 0; second < 60; second++)
        {
            watchdog.Ping();
            _time.Advance(TimeSpan.FromSeconds(1));
        }

        Assert.Equal(Enumerable.Repeat("WATCHDOG=1", 6), Received());
    }

    [Theory]
    [InlineData(null, null)]
    [InlineData("0", null)]
    [InlineData("30000000", "1")] // Of another process.
    public void Ping_TheManagerDoesNotWaitForUs_SendsNothing(string? microseconds, string? processId)
    {
        using var watchdog = Start(("WATCHDOG_USEC", microseconds), ("WATCHDOG_PID", processId));

        watchdog.Ping();

        Assert.Empty(Received());
    }

    private Watchdog Start(params (string Name, string? Value)[] variables) =>
        new(name => name == "NOTIFY_SOCKET" ? SocketPath : variables.FirstOrDefault(v => v.Name == name).Value, _time);

    private List<string> Received()
    {
        var all = new List<string>();
        var buffer = new byte[4096];
        while (_manager.Poll(0, SelectMode.SelectRead)) all.Add(Encoding.UTF8.GetString(buffer, 0, _manager.Receive(buffer)));
        return all;
    }
}
