using Gateway.Volumes.Tests.Frames;
using Xunit;

namespace Gateway.Volumes.Tests;

public class VolumeCompressionTests
{
    [Theory]
    [InlineData((int)VolumeCompression.None, 1.0, 1.1)]
    [InlineData((int)VolumeCompression.Lz4, 0.1, 0.7)]
    [InlineData((int)VolumeCompression.Zstd, 0.1, 0.7)]
    public async Task Volume_OfEachKind_ReadsBackFromTheBucketWhatWasWritten(int compression, double storedMin, double storedMax)
    {
        const int Bytes = 100 << 10;
        await using var world = new VolumeWorld { Compression = (VolumeCompression)compression };
        await world.CreateAsync();
        var info = await new VolumeCatalog(world.Store, TimeProvider.System).DescribeAsync(VolumeWorld.Name, default);
        Assert.Equal(VolumeCompressionNames.NameOf((VolumeCompression)compression), info.Compression);
        var text = SampleData.Text(Bytes, 1);
        await world.OpenAsync();

        await world.WriteAsync(3, text);
        await world.WriteAsync(503, new byte[8192]);
        await world.CloseAsync();
        world.LoseJournal();
        await world.OpenAsync();

        Assert.Equal(text, await world.ReadAsync(3, Bytes / 512));
        Assert.Equal(text[5120..6144], await world.ReadAsync(13, 2));
        Assert.Equal(new byte[8192], await world.ReadAsync(503, 16));
        var stored = world.Store.Blobs.Where(b => b.Key.Contains("/log/", StringComparison.Ordinal)).Sum(b => b.Value.Length);
        Assert.InRange((double)stored / Bytes, storedMin, storedMax);
    }
}
