using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Gateway.Backends.Core;
using Gateway.Backends.Grpc.Server;
using Grpc.Health.V1;
using Xunit;
using static Gateway.Backends.Grpc.Tests.BlobServerWorld;

namespace Gateway.Backends.Grpc.Tests;

/// <summary>TLS, and client certificates as the name of a tenant.</summary>
public sealed class CertificateTests : IAsyncLifetime
{
    private static readonly DateTimeOffset Now = TimeProvider.System.GetUtcNow();

    private readonly BlobServerWorld _world = new();
    private readonly X509Certificate2 _authority = MakeAuthority("CN=authority");
    private readonly X509Certificate2 _stranger = MakeAuthority("CN=stranger");

    public Task InitializeAsync() => Task.CompletedTask;

    public async Task DisposeAsync()
    {
        await _world.DisposeAsync();
        _authority.Dispose();
        _stranger.Dispose();
    }

    [Fact]
    public async Task Client_WithACertificateOfTheAuthority_IsTheTenantOfItsName()
    {
        var server = await ServeAsync();
        var red = _world.Connect(server, ClientOptions(_authority, "red"));
        var blue = _world.Connect(server, ClientOptions(_authority, "blue"));

        await red.PutAsync(new("disk"), new byte[300_000], Precondition.Absent, None);

        Assert.Equal(["red/disk"], _world.Blobs.Blobs.Keys);
        Assert.Equal(300_000, await red.ReadAsync(new("disk"), 0, new byte[400_000], None));
        Assert.Empty(await NamesAsync(blue));
    }

    [Fact]
    public async Task Client_WithoutAFittingCertificate_IsAccessDenied()
    {
        var server = await ServeAsync();

        foreach (var options in (GrpcStoreOptions[])
        [
            new() { CaFile = Authority(_authority) },
            ClientOptions(_stranger, "red"),
            ClientOptions(_authority, "expired", notAfter: Now.AddHours(-1)),
            ClientOptions(_authority, "early", notBefore: Now.AddHours(1)),
            ClientOptions(_authority, "a b"),
            ClientOptions(_authority, ".."),
            ClientOptions(_authority, "server", purpose: "1.3.6.1.5.5.7.3.1"),
        ])
        {
            var store = _world.Connect(server, options);
            await ThrowsAsync(BlobErrorKind.AccessDenied, async () => await store.GetLengthAsync(new("a"), None));
            await ThrowsAsync(BlobErrorKind.AccessDenied, async () => await store.PutAsync(new("a"), new byte[1], Precondition.None, None));
        }

        Assert.Empty(_world.Blobs.Blobs);
    }

    [Fact]
    public async Task Client_WhoseServerNeedsATokenToo_NeedsBoth()
    {
        var server = await ServeAsync(_world.File("tokens", TokenLine("blue", "secret")));
        var both = ClientOptions(_authority, "red") with { TokenFile = _world.File("token", "secret") };

        await _world.Connect(server, both).PutAsync(new("disk"), new byte[1], Precondition.Absent, None);
        await ThrowsAsync(BlobErrorKind.AccessDenied, async () => await _world.Connect(server, both with { TokenFile = null }).GetLengthAsync(new("a"), None));
        await ThrowsAsync(BlobErrorKind.AccessDenied, async () => await _world.Connect(server, both with { ClientCertificateFile = null, ClientKeyFile = null }).GetLengthAsync(new("a"), None));

        Assert.Equal(["blue/disk"], _world.Blobs.Blobs.Keys);
    }

    [Fact]
    public async Task Server_ThatTheClientDoesNotTrust_IsRejectedWithAdvice()
    {
        var server = await ServeAsync();

        var error = await ThrowsAsync(BlobErrorKind.Rejected, async () => await _world.Connect(server, ClientOptions(_authority, "red") with { CaFile = Authority(_stranger) }).GetLengthAsync(new("a"), None));

        Assert.Contains("caFile", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Server_WithANameThatIsNotItsOwn_IsRejected()
    {
        var server = await _world.ServeAsync(TlsOptions(Pem(_authority, "CN=elsewhere", address: IPAddress.Parse("192.0.2.1"))));

        await ThrowsAsync(BlobErrorKind.Rejected, async () => await _world.Connect(server, ClientOptions(_authority, "red")).GetLengthAsync(new("a"), None));
    }

    [Fact]
    public async Task Server_WithItsCertificateReplaced_ShowsTheNewOneToNewConnections()
    {
        var options = TlsOptions(Pem(_stranger, "CN=server"));
        var server = await _world.ServeAsync(options);
        await ThrowsAsync(BlobErrorKind.Rejected, async () => await _world.Connect(server, ClientOptions(_authority, "red")).GetLengthAsync(new("a"), None));

        var (certificate, key) = Pem(_authority, "CN=server");
        File.Move(key, options.KeyFile!, overwrite: true);
        File.Move(certificate, options.CertificateFile!, overwrite: true);

        Assert.Null(await _world.Connect(server, ClientOptions(_authority, "red")).GetLengthAsync(new("a"), None));
    }

    [Fact]
    public async Task Health_NeedsNoCredentials()
    {
        var server = await ServeAsync(_world.File("tokens", TokenLine("blue", "secret")));
        var store = _world.Connect(server, new GrpcStoreOptions { CaFile = Authority(_authority) });

        var answer = await store.RequestAsync("health", "asking", async (c, o) => await c.Health.CheckAsync(new HealthCheckRequest(), o), None);

        Assert.Equal(HealthCheckResponse.Types.ServingStatus.Serving, answer.Status);
    }

    [Fact]
    public async Task Files_ThatAreNoCertificates_AreNamed()
    {
        var nonsense = _world.File("nonsense.pem", "no certificate");
        var (certificate, key) = Pem(_authority, "CN=server");

        foreach (var options in (BlobServerOptions[])
        [
            TlsOptions((nonsense, key)),
            TlsOptions((certificate, nonsense)),
            TlsOptions((certificate, key)) with { ClientCaFile = nonsense },
            TlsOptions((certificate, key)) with { ClientCaFile = "/nowhere.pem" },
        ])
        {
            var error = await Assert.ThrowsAsync<BlobStoreException>(() => _world.ServeAsync(options));
            Assert.Contains(".pem", error.Message, StringComparison.Ordinal);
        }
    }

    private Task<BlobServer> ServeAsync(string? tokens = null) => _world.ServeAsync(TlsOptions(Pem(_authority, "CN=server")) with { TokensFile = tokens });

    private BlobServerOptions TlsOptions((string Certificate, string Key) files) =>
        new() { Listen = "https://127.0.0.1:0", CertificateFile = files.Certificate, KeyFile = files.Key, ClientCaFile = Authority(_authority) };

    private GrpcStoreOptions ClientOptions(X509Certificate2 authority, string name, DateTimeOffset? notBefore = null, DateTimeOffset? notAfter = null, string purpose = "1.3.6.1.5.5.7.3.2")
    {
        var (certificate, key) = Pem(authority, "CN=" + name, notBefore, notAfter, purpose);
        return new GrpcStoreOptions { CaFile = Authority(_authority), ClientCertificateFile = certificate, ClientKeyFile = key };
    }

    private string Authority(X509Certificate2 authority) => _world.File(authority.SerialNumber + ".pem", authority.ExportCertificatePem());

    private (string Certificate, string Key) Pem(X509Certificate2 authority, string subject, DateTimeOffset? notBefore = null, DateTimeOffset? notAfter = null, string? purpose = null, IPAddress? address = null)
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest(subject, key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509EnhancedKeyUsageExtension([new Oid(purpose ?? "1.3.6.1.5.5.7.3.1")], critical: false));
        var names = new SubjectAlternativeNameBuilder();
        names.AddIpAddress(address ?? IPAddress.Loopback);
        request.CertificateExtensions.Add(names.Build());
        var serial = Guid.NewGuid().ToByteArray();
        using var certificate = request.Create(authority, notBefore ?? Now.AddHours(-2), notAfter ?? Now.AddDays(1), serial);
        var name = Convert.ToHexString(serial);
        return (_world.File(name + ".pem", certificate.ExportCertificatePem()), _world.File(name + "-key.pem", key.ExportPkcs8PrivateKeyPem()));
    }

    private static X509Certificate2 MakeAuthority(string subject)
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest(subject, key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(true, false, 0, true));
        request.CertificateExtensions.Add(new X509KeyUsageExtension(X509KeyUsageFlags.KeyCertSign, critical: true));
        return request.CreateSelfSigned(Now.AddDays(-2), Now.AddDays(2));
    }
}
