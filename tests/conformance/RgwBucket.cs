using Amazon.Runtime;
using Amazon.S3;
using Gateway.Backends.S3;
using Gateway.Tests.Shared.Stores;
using Xunit;

namespace Gateway.Conformance.Tests;

/// <summary>A bucket of one's own on the process's RADOS Gateway.</summary>
internal static class RgwBucket
{
    /// <summary>Options for a new, empty bucket. Skips the test where RGW cannot run.</summary>
    public static async Task<S3StoreOptions> NewAsync()
    {
        Skip.If(RgwServer.SkipReason is not null, RgwServer.SkipReason);
        var server = await RgwServer.SharedAsync();
        var bucket = server.NextBucketName();
        using var client = new AmazonS3Client(new BasicAWSCredentials(server.AccessKeyId, server.SecretAccessKey),
            new AmazonS3Config { ServiceURL = server.Endpoint.ToString(), ForcePathStyle = true, AuthenticationRegion = "us-east-1" });
        await client.PutBucketAsync(bucket);
        return new S3StoreOptions
        {
            Endpoint = server.Endpoint,
            Bucket = bucket,
            Prefix = "disks/of a/node",
            AccessKeyId = server.AccessKeyId,
            SecretAccessKeyFile = server.SecretFile,
        };
    }
}
