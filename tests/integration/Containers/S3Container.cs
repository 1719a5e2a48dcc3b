using Amazon.Runtime;
using Amazon.S3;
using DotNet.Testcontainers.Builders;
using DotNet.Testcontainers.Configurations;
using DotNet.Testcontainers.Containers;
using Gateway.Backends.S3;
using Xunit;

namespace Gateway.Integration.Tests.Containers;

/// <summary>
/// One S3 server in a container for all tests of a class: MinIO where the engine has or can pull its image, else Ceph RGW in an image that is made from this host's packages.
/// Which one it is, each test's output and the notes of the run say.
/// </summary>
/// <remarks>S3_CONTAINER=minio or =rgw allows only that one. Not started before it is asked for. A bucket for each test keeps them apart.</remarks>
public sealed class S3Container : IAsyncLifetime
{
    private const string MinioImage = "minio/minio:RELEASE.2025-09-07T16-13-09Z";
    private const string RgwImage = "tcmu-gateway-test-rgw:local";
    private const string AccessKeyId = "testaccess"; // Made up and worth nothing.
    private const string SecretAccessKey = "testsecretkey0123";

    /// <summary>What is waited for a registry before the local image is used; MinIO's image has about 60 MB.</summary>
    private static readonly TimeSpan PullMax = TimeSpan.FromSeconds(90);
    private static readonly TimeSpan StartMax = TimeSpan.FromMinutes(3);

    private readonly Lock _lock = new();
    private readonly string _secretFile = Path.GetTempFileName();
    private Task<Server>? _server;
    private int _buckets;

    /// <summary>What is run and where it came from, for people.</summary>
    public async Task<string> DescribeAsync() => (await ServerAsync()).Description;

    /// <summary>Options for a new, empty bucket.</summary>
    public async Task<S3StoreOptions> NewBucketAsync()
    {
        await DockerEngine.RequireAsync();
        var server = await ServerAsync();
        var bucket = $"test-{Interlocked.Increment(ref _buckets)}";
        using var client = new AmazonS3Client(new BasicAWSCredentials(AccessKeyId, SecretAccessKey), new AmazonS3Config { ServiceURL = server.Endpoint.ToString(), ForcePathStyle = true, AuthenticationRegion = "us-east-1" });
        await client.PutBucketAsync(bucket);
        return new S3StoreOptions { Endpoint = server.Endpoint, Bucket = bucket, Prefix = "disks/of a/node", AccessKeyId = AccessKeyId, SecretAccessKeyFile = _secretFile };
    }

    public Task InitializeAsync() => Task.CompletedTask;

    public async Task DisposeAsync()
    {
        if (_server is { IsCompletedSuccessfully: true }) await (await _server).Container.DisposeAsync();
        File.Delete(_secretFile);
    }

    private Task<Server> ServerAsync()
    {
        lock (_lock) return _server ??= StartAsync();
    }

    private async Task<Server> StartAsync()
    {
        await File.WriteAllTextAsync(_secretFile, SecretAccessKey + "\n");
        // The resource reaper is an image to pull, too. Without it a container outlives only tests that are killed.
        TestcontainersSettings.ResourceReaperEnabled = false;
        var only = Environment.GetEnvironmentVariable("S3_CONTAINER");
        var whyNot = only == "rgw" ? "S3_CONTAINER=rgw" : await WhyNotMinioAsync();
        if (whyNot is not null && only == "minio") throw new InvalidOperationException($"S3_CONTAINER=minio, but {whyNot}");
        var (container, port, what) = whyNot is null ? (Minio(), 9000, $"MinIO ({MinioImage})") : (await RgwAsync(), 7480, $"Ceph RGW ({RgwImage}, made here: {whyNot})");
        using var limit = new CancellationTokenSource(StartMax);
        await container.StartAsync(limit.Token);
        var server = new Server(container, new Uri($"http://{container.Hostname}:{container.GetMappedPublicPort(port)}"), $"S3 in a container: {what}");
        Notes.Say(server.Description);
        return server;
    }

    /// <summary>Null if the engine has MinIO's image now; else why not.</summary>
    private static async Task<string?> WhyNotMinioAsync()
    {
        if (await DockerEngine.TryRunAsync(PullMax, "image", "inspect", MinioImage) is { ExitCode: 0 }) return null;
        try
        {
            var pulled = await DockerEngine.TryRunAsync(PullMax, "pull", "--quiet", MinioImage);
            return pulled is { ExitCode: 0 } ? null : $"no MinIO: {pulled?.Error.Trim()}";
        }
        catch (TimeoutException)
        {
            return $"no MinIO: its image did not come within {PullMax.TotalSeconds:0} s";
        }
    }

    private static IContainer Minio() => new ContainerBuilder(MinioImage)
        .WithEnvironment("MINIO_ROOT_USER", AccessKeyId)
        .WithEnvironment("MINIO_ROOT_PASSWORD", SecretAccessKey)
        .WithCommand("server", "/data")
        .WithPortBinding(9000, assignRandomHostPort: true)
        .WithWaitStrategy(Wait.ForUnixContainer().UntilHttpRequestIsSucceeded(r => r.ForPort(9000).ForPath("/minio/health/ready")))
        .Build();

    private static async Task<IContainer> RgwAsync()
    {
        var made = await Command.RunAsync(Repository.PathOf("tests", "lab", "ceph-image"), [RgwImage], TimeSpan.FromMinutes(5));
        if (made.ExitCode != 0) throw new InvalidOperationException($"ceph-image: {made}");
        return new ContainerBuilder(RgwImage)
            .WithPortBinding(7480, assignRandomHostPort: true)
            .WithWaitStrategy(Wait.ForUnixContainer().UntilMessageIsLogged("READY"))
            .Build();
    }

    private sealed record Server(IContainer Container, Uri Endpoint, string Description);
}
