using Gateway.Backends.Core;
using Gateway.Scsi;
using Gateway.Volumes.Tests.Frames;
using Xunit;

namespace Gateway.Volumes.Tests.Log;

public class UploadBufferTests
{
    /// <summary>A store that is deaf to cancellation may read a segment long after its put has failed, and even after a later one has succeeded.</summary>
    [Fact]
    public async Task Upload_PutThatFailed_ItsBufferIsNeverWrittenAgain()
    {
        await using var world = new VolumeWorld();
        await world.CreateAsync();
        var store = new DeafStore(world.Store);
        await world.OpenAsync(store);

        for (var i = 0; i < 12; i++)
        {
            Assert.Equal(BlockResult.Success, await world.WriteAsync((ulong)i * 100, SampleData.Noise(40 << 10, i)));
            await world.Volume.DrainAsync(default);
        }

        Assert.InRange(store.Abandoned.Count, 3, 12);
        foreach (var (content, copy) in store.Abandoned) Assert.True(content.Span.SequenceEqual(copy), "The buffer was used for something else.");
        for (var i = 0; i < 12; i++) Assert.Equal(SampleData.Noise(40 << 10, i), await world.ReadAsync((ulong)i * 100, 80));
    }

    /// <summary>Fails the first put of every third segment, and holds on to what it was to store.</summary>
    private sealed class DeafStore(IBlobStore inner) : DelegatingBlobStore(inner)
    {
        private readonly HashSet<string> _seen = [];

        public List<(ReadOnlyMemory<byte> Content, byte[] Copy)> Abandoned { get; } = [];

        public override ValueTask PutAsync(BlobKey key, ReadOnlyMemory<byte> content, Precondition precondition, CancellationToken cancellationToken)
        {
            var first = key.Value.Contains("/log/", StringComparison.Ordinal) && _seen.Add(key.Value);
            if (!first || _seen.Count % 3 != 1) return base.PutAsync(key, content, precondition, cancellationToken);
            Abandoned.Add((content, content.ToArray()));
            throw new BlobStoreException(BlobErrorKind.Unavailable, "No answer (by design of the test).");
        }
    }
}
