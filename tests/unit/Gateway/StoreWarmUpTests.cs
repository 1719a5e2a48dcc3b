using System.Net;
using System.Net.Sockets;
using System.Text;
using Gateway.Configuration;
using Gateway.Serving;
using Xunit;

namespace Gateway.Tests;

/// <summary>A start asks the stores of its devices while the host is put together.</summary>
public sealed class StoreWarmUpTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("tcmu-gateway-warm-").FullName;
    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);

    public StoreWarmUpTests() => _listener.Start();

    public void Dispose()
    {
        _listener.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    [Fact]
    public async Task Run_TwoDevicesOfOneStore_OneRequest()
    {
        AddDevice(0, "gateway/far/one");
        AddDevice(1, "gateway/far/two");
        AddDevice(2, "gateway/local/three");
        var run = StoreWarmUp.RunAsync(Configuration(), Roots);

        using var connection = await _listener.AcceptTcpClientAsync();
        var buffer = new byte[4096];
        var length = await connection.GetStream().ReadAsync(buffer);
        await connection.GetStream().WriteAsync("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"u8.ToArray());
        await run;

        Assert.StartsWith("GET /bucket/tcmu-gateway-start HTTP/1.1", Encoding.ASCII.GetString(buffer, 0, length), StringComparison.Ordinal);
        Assert.False(_listener.Pending());
    }

    [Fact]
    public async Task Run_StoreAwayOrUnknownOrNoKernelObjects_NothingComesOfIt()
    {
        await StoreWarmUp.RunAsync(Configuration(), Roots);
        AddDevice(0, "gateway/far/one");
        AddDevice(1, "gateway/unknown/one");
        AddDevice(2, "gateway/");
        _listener.Stop();

        await StoreWarmUp.RunAsync(Configuration(), Roots);
    }

    private KernelRoots Roots => new(Path.Combine(_folder, "sys"), Path.Combine(_folder, "config"), Path.Combine(_folder, "dev"));

    private GatewayConfiguration Configuration() => ConfigurationReader.Parse(
        Encoding.UTF8.GetBytes($$"""
            { "stores": {
                "far": { "type": "s3", "endpoint": "http://{{_listener.LocalEndpoint}}", "bucket": "bucket", "region": "us-east-1", "accessKeyId": "key", "secretAccessKeyFile": "{{Secret}}" },
                "local": { "type": "file", "path": "{{_folder}}" } } }
            """),
        "it",
        new Dictionary<string, string>());

    private string Secret
    {
        get
        {
            var file = Path.Combine(_folder, "secret");
            File.WriteAllText(file, "secret");
            return file;
        }
    }

    private void AddDevice(int minor, string config)
    {
        var folder = Directory.CreateDirectory(Path.Combine(_folder, $"sys/class/uio/uio{minor}/maps/map0")).FullName;
        File.WriteAllText(Path.Combine(folder, "../../name"), $"tcm-user/{minor}/disk/{config}\n");
        File.WriteAllText(Path.Combine(folder, "size"), "0x40800000\n");
    }
}
