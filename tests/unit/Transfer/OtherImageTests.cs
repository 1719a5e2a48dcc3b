using Gateway.Backends.Core;
using Gateway.Tests.Shared;
using Gateway.Tests.Shared.Stores;
using Gateway.Transfer.Images;
using Xunit;

namespace Gateway.Transfer.Tests;

/// <summary>Raw files, and disks in chunks.</summary>
public sealed class OtherImageTests : IDisposable
{
    private readonly Folder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task Raw_SparseFile_ReadsAndTellsItsHoles()
    {
        var path = _folder.File("disk.raw");
        using (var file = File.OpenHandle(path, FileMode.Create, FileAccess.Write))
        {
            RandomAccess.SetLength(file, 64 << 20);
            RandomAccess.Write(file, new byte[] { 1, 2, 3 }, 32 << 20);
        }

        await using var image = RawImage.Open(path);

        await Qcow2ImageTests.AssertReadsAsync(image, await File.ReadAllBytesAsync(path));
        var hole = await image.FindAsync(0, default);
        Assert.True(hole.IsZero);
        Assert.InRange(hole.LengthBytes, 31 << 20, 32 << 20);
    }

    [Fact]
    public async Task Raw_ChangedMeanwhile_HasAnotherIdentity()
    {
        var path = _folder.WriteRaw("disk.raw", 1 << 20, 1);
        await using var image = RawImage.Open(path);
        Assert.Equal(image.Identity, image.CurrentIdentity());

        File.SetLastWriteTimeUtc(path, DateTime.UnixEpoch);

        Assert.NotEqual(image.Identity, image.CurrentIdentity());
    }

    [Fact]
    public void Raw_NotThereEmptyOrADirectory_IsRefused()
    {
        File.WriteAllBytes(_folder.File("empty"), []);

        Assert.Throws<ImageException>(() => RawImage.Open(_folder.File("nowhere")));
        Assert.Throws<ImageException>(() => RawImage.Open(_folder.File("empty")));
        Assert.Throws<ImageException>(() => RawImage.Open(_folder.Path));
    }

    [Theory]
    [InlineData("s3backer", "disk1-", "disk1-0000000a")]
    [InlineData("s3backer", "", "0000000a")]
    [InlineData("nbdkit", "disk1", "disk1/000000000000000a")]
    [InlineData("a/{x4}.bin", "", "a/000a.bin")]
    [InlineData("{d6}", "part.", "part.000010")]
    public void Layout_NamesTheTenthChunk(string layout, string key, string name)
    {
        var parsed = ChunkLayout.Parse(layout, key);

        Assert.Equal(name, parsed.Key(10).Value);
        Assert.True(parsed.TryParse(name, out var index));
        Assert.Equal(10, index);
        Assert.False(parsed.TryParse(name + "0", out _));
        Assert.False(parsed.TryParse(name.ToUpperInvariant() + " ", out _));
    }

    [Theory]
    [InlineData("disk")]
    [InlineData("{x}")]
    [InlineData("{x0}")]
    [InlineData("{x17}")]
    [InlineData("{d20}")]
    [InlineData("{x4}{x4}")]
    [InlineData("../{x4}")]
    public void Layout_ThatIsNone_IsRefused(string layout) => Assert.Throws<ImageException>(() => ChunkLayout.Parse(layout, ""));

    [Theory]
    [InlineData("s3backer", "d-", null)]
    [InlineData("nbdkit", "d", 1_000_000L)]
    [InlineData("c.{d3}", "", null)]
    public async Task Chunks_SomeMissing_ReadAsTheDisk(string layout, string key, long? size)
    {
        const int Chunk = 65536;
        var random = new Random(9);
        var store = new MemoryBlobStore();
        var parsed = ChunkLayout.Parse(layout, key);
        var disk = new byte[size ?? 20 * Chunk];
        foreach (var i in new[] { 0, 3, 4, 5, 9, 15, 19 })
        {
            var content = new byte[Chunk];
            random.NextBytes(content);
            store.Blobs[parsed.Key(i).Value] = content;
            if ((long)i * Chunk < disk.Length) content.AsSpan(0, Math.Min(Chunk, disk.Length - (i * Chunk))).CopyTo(disk.AsSpan(i * Chunk));
        }

        store.Blobs[key + "zz-mounted"] = [1]; // s3backer's mount token, and the like.
        await using var image = await ChunkedImage.OpenAsync(store, parsed, null, size, default);

        await Qcow2ImageTests.AssertReadsAsync(image, disk);
        await Qcow2ImageTests.AssertReadsAsync(image, disk); // A second time from the beginning, as to compare.
    }

    [Fact]
    public async Task Chunks_OfOtherLengths_AreTakenForCompressed()
    {
        var store = new MemoryBlobStore();
        for (var i = 0; i < 8; i++) store.Blobs[$"d{i:x8}"] = new byte[4096];
        store.Blobs["d00000003"] = new byte[1234];
        await using var image = await ChunkedImage.OpenAsync(store, ChunkLayout.Parse("s3backer", "d"), null, null, default);

        var e = await Assert.ThrowsAsync<ImageException>(async () =>
        {
            for (long position = 0; position < image.SizeBytes;) position += (await image.FindAsync(position, default)).LengthBytes;
        });

        Assert.Contains("d00000003", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Chunks_None_IsRefused() =>
        await Assert.ThrowsAsync<ImageException>(() => ChunkedImage.OpenAsync(new MemoryBlobStore(), ChunkLayout.Parse("s3backer", "d"), null, null, default));

    [Fact]
    public async Task Chunks_StoreFails_IsNoZeroes()
    {
        var store = new MemoryBlobStore();
        store.Blobs["d00000000"] = new byte[4096];
        var failing = new FaultyBlobStore(store, 1, TimeProvider.System);
        await using var image = await ChunkedImage.OpenAsync(failing, ChunkLayout.Parse("s3backer", "d"), null, null, default);
        failing.Faults = new StoreFaults { Outage = true };

        await Assert.ThrowsAsync<BlobStoreException>(async () => await image.ReadAsync(0, new byte[512], default));
    }
}
