using System.Net;
using System.Net.Sockets;
using System.Text;
using Xunit;

namespace Gateway.Integration.Tests;

/// <summary>A role by service account, as on Kubernetes: the native executable exchanges the token in a file for credentials. (Built for a runtime, the SDK would find by itself what it needs.)</summary>
public sealed class WebIdentityTests : IDisposable
{
    private const string Token = "token-of-a-service-account";
    private readonly string _folder = Directory.CreateTempSubdirectory("tcmu-gateway-identity-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [SkippableFact]
    public async Task Store_WithATokenOfAServiceAccount_IsAskedWithTheRolesCredentials()
    {
        Skip.If(Repository.Gateway.Length == 0, "there is no native executable: make publish");
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        using var stop = new CancellationTokenSource();
        var requests = AnswerAllAsync(listener, stop.Token);
        var address = $"http://127.0.0.1:{((IPEndPoint)listener.LocalEndpoint).Port}";
        var config = Path.Combine(_folder, "gateway.json");
        await File.WriteAllTextAsync(config, $$"""{ "stores": { "cloud": { "type": "s3", "bucket": "b", "endpoint": "{{address}}" } } }""");
        var token = Path.Combine(_folder, "token");
        await File.WriteAllTextAsync(token, Token);

        var result = await Command.RunAsync(
            Repository.Gateway, ["store", "test", "cloud", "--config", config], TimeSpan.FromMinutes(2),
            ("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/disks"), ("AWS_WEB_IDENTITY_TOKEN_FILE", token), ("AWS_REGION", "eu-central-1"), ("AWS_ENDPOINT_URL_STS", address), ("AWS_EC2_METADATA_DISABLED", "true"));

        await stop.CancelAsync();
        var seen = await requests;
        Assert.Contains(seen, r => r.Contains("Action=AssumeRoleWithWebIdentity", StringComparison.Ordinal) && r.Contains($"WebIdentityToken={Token}", StringComparison.Ordinal));
        Assert.True(seen.Any(r => r.Contains("Credential=KEYOFTHEROLE/", StringComparison.Ordinal) && r.Contains("x-amz-security-token: SessionOfTheRole", StringComparison.OrdinalIgnoreCase)), result.ToString());
        Assert.DoesNotContain(Token, result.ToString(), StringComparison.Ordinal);
    }

    /// <summary>A token service for those who ask for credentials, and a store that refuses everybody.</summary>
    private static async Task<List<string>> AnswerAllAsync(TcpListener listener, CancellationToken cancellation)
    {
        const string Credentials = """
            <AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>KEYOFTHEROLE</AccessKeyId>
            <SecretAccessKey>SecretOfTheRole</SecretAccessKey><SessionToken>SessionOfTheRole</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>
            """;
        var seen = new List<string>();
        try
        {
            while (true)
            {
                using var client = await listener.AcceptTcpClientAsync(cancellation);
                await using var stream = client.GetStream();
                var request = await ReadRequestAsync(stream, cancellation);
                seen.Add(request);
                var answer = request.Contains("Action=AssumeRole", StringComparison.Ordinal)
                    ? $"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: {Credentials.Length}\r\nConnection: close\r\n\r\n{Credentials}"
                    : "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
                await stream.WriteAsync(Encoding.ASCII.GetBytes(answer), cancellation);
            }
        }
        catch (OperationCanceledException)
        {
            return seen;
        }
    }

    /// <summary>Head and body of a request whose length is told.</summary>
    private static async Task<string> ReadRequestAsync(NetworkStream stream, CancellationToken cancellation)
    {
        var text = new StringBuilder();
        var buffer = new byte[64 << 10];
        while (true)
        {
            var count = await stream.ReadAsync(buffer, cancellation);
            text.Append(Encoding.ASCII.GetString(buffer, 0, count));
            var request = text.ToString();
            var head = request.IndexOf("\r\n\r\n", StringComparison.Ordinal);
            if (count == 0 || (head >= 0 && request.Length - head - 4 >= LengthOf(request[..head]))) return request;
        }
    }

    private static int LengthOf(string head)
    {
        var line = head.Split("\r\n").FirstOrDefault(l => l.StartsWith("Content-Length:", StringComparison.OrdinalIgnoreCase));
        return line is null ? 0 : int.Parse(line["Content-Length:".Length..], System.Globalization.CultureInfo.InvariantCulture);
    }
}
