using Gateway.Backends.S3;
using Gateway.Conformance.Tests;
using Xunit;
using Xunit.Abstractions;

namespace Gateway.Integration.Tests.Containers;

/// <summary>The S3 suite against a server in a container: MinIO where it can be had, else Ceph RGW.</summary>
[Trait("Category", "Container")]
public sealed class S3ContainerTests(S3Container server, ITestOutputHelper output) : S3BlobStoreConformance, IClassFixture<S3Container>
{
    protected override async Task<S3StoreOptions> NewBucketAsync()
    {
        var options = await server.NewBucketAsync();
        output.WriteLine(await server.DescribeAsync());
        return options;
    }
}
