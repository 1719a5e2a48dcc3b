using System.Net;
using System.Net.Sockets;
using System.Text;
using Xunit;

namespace Gateway.Integration.Tests;

/// <summary><c>tcmu-gateway health</c>, as a container engine runs it: an exit code, and one line that says why.</summary>
public sealed class HealthCommandTests
{
    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(1);

    [SkippableFact]
    public async Task Health_NoDaemon_FailsAndSaysSo()
    {
        Skip.If(Repository.Gateway.Length == 0, "there is no native executable: make publish");

        var result = await Command.RunAsync(Repository.Gateway, ["health"], Limit, ("TCMU_GATEWAY_SOCKET", "/nowhere/control.sock"));

        Assert.Equal(1, result.ExitCode);
        Assert.Contains("No gateway runs at /nowhere/control.sock", result.Error, StringComparison.Ordinal);
    }

    [SkippableTheory]
    [InlineData("200 OK", 0, "healthy")]
    [InlineData("503 Service Unavailable", 1, "answers 503")]
    public async Task Health_OfAPage_IsItsStatus(string status, int exitCode, string says)
    {
        Skip.If(Repository.Gateway.Length == 0, "there is no native executable: make publish");
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        var answering = AnswerAsync(listener, $"HTTP/1.1 {status}\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");

        var result = await Command.RunAsync(Repository.Gateway, ["health"], Limit, ("TCMU_GATEWAY_HEALTH", $"http://{listener.LocalEndpoint}/livez"));

        Assert.True(result.ExitCode == exitCode, result.ToString());
        Assert.Contains(says, result.Output + result.Error, StringComparison.Ordinal);
        await answering;
    }

    [SkippableTheory]
    [InlineData("localhost")]
    [InlineData("ftp://localhost/")]
    [InlineData("grpc://localhost:1/path")]
    public async Task Health_OfWhatIsNoAddress_SaysWhatIs(string address)
    {
        Skip.If(Repository.Gateway.Length == 0, "there is no native executable: make publish");

        var result = await Command.RunAsync(Repository.Gateway, ["health", address], Limit);

        Assert.Equal(1, result.ExitCode);
        Assert.Contains("http(s)://HOST:PORT/PATH, or grpc://HOST:PORT", result.Error, StringComparison.Ordinal);
    }

    private static async Task AnswerAsync(TcpListener listener, string answer)
    {
        using var connection = await listener.AcceptTcpClientAsync();
        using var reader = new StreamReader(connection.GetStream(), leaveOpen: true);
        while (await reader.ReadLineAsync() is { Length: > 0 })
        {
        }

        await connection.GetStream().WriteAsync(Encoding.ASCII.GetBytes(answer));
    }
}
