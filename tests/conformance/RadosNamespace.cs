using Gateway.Backends.Rados;
using Gateway.Tests.Shared.Stores;
using Xunit;

namespace Gateway.Conformance.Tests;

/// <summary>A namespace of one's own on the process's Ceph cluster.</summary>
internal static class RadosNamespace
{
    /// <summary>Options for a new, empty namespace. Skips the test where Ceph cannot run.</summary>
    public static async Task<RadosStoreOptions> NewAsync()
    {
        Skip.If(RgwServer.SkipReason is not null, RgwServer.SkipReason);
        var server = await RgwServer.SharedAsync();
        return new RadosStoreOptions { Pool = "rbd", Namespace = server.NextBucketName(), ConfigurationFile = server.ConfigurationFile };
    }
}
