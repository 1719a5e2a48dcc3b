using Gateway.Volumes.Checking;
using Gateway.Volumes.Formats;
using Gateway.Volumes.Map;
using Xunit;

namespace Gateway.Volumes.Tests.Checking;

/// <summary>A check names what is damaged, no more and no less, and never ends in an exception because of it.</summary>
public class VolumeCheckerTests
{
    private const int Blocks = 2048;
    private static readonly VolumeKeys Keys = new(VolumeWorld.Name);

    [Fact]
    public async Task Check_OfAWholeVolume_IsClean()
    {
        await using var world = await FilledAsync();

        var report = await CheckAsync(world);

        Assert.True(report.IsClean, string.Join('\n', report.Findings));
        Assert.Equal((long)Blocks * VolumeWorld.BlockDefaultBytes, report.MappedBytes);
    }

    [Fact]
    public async Task Check_OfADamagedRoot_ReportsIt()
    {
        await using var world = await FilledAsync();
        var (name, _) = NewestRoot(world);
        Flip(world, name, 40);

        var report = await CheckAsync(world);

        Assert.False(report.IsClean);
        Assert.Contains(report.Findings, f => f.Severity == CheckSeverity.Damage && f.Message.Contains(name, StringComparison.Ordinal));
        Assert.Equal([new DamagedRange(0, Blocks, "the volume cannot be opened")], report.Damaged);
    }

    [Fact]
    public async Task Check_OfADamagedSegmentTable_ReportsThatAndNothingElse()
    {
        await using var world = await FilledAsync();
        var (_, root) = NewestRoot(world);
        var page = root.SegmentPages[0].Pointer;
        Flip(world, Keys.MapBlob(root.MapBlobs.Single(b => b.Number == page.Blob).Id).Value, (int)page.OffsetBytes + 10);

        var report = await CheckAsync(world);

        var finding = Assert.Single(report.Findings, f => f.Severity != CheckSeverity.Note);
        Assert.Contains("segment table", finding.Message, StringComparison.Ordinal);
        Assert.Empty(report.Damaged);
    }

    [Fact]
    public async Task Check_OfATruncatedSegment_NamesTheBlocksBehindTheCutAlone()
    {
        await using var world = await FilledAsync();
        var name = world.Store.Blobs.Keys.Where(k => k.StartsWith(Keys.LogPrefix, StringComparison.Ordinal)).Min(StringComparer.Ordinal)!;
        var content = world.Store.Blobs[name];
        var header = SegmentHeader.Parse(content.AsSpan(0, SegmentHeader.HeaderLengthBytes), name);
        var index = SegmentIndexEntry.ParseIndex(content.AsSpan(SegmentHeader.HeaderLengthBytes, header.MetadataLengthBytes - SegmentHeader.HeaderLengthBytes), header, Blocks, name);
        var frames = index.Where(e => e.Kind == ExtentKind.Data).OrderBy(e => e.FrameOffsetBytes).ToArray();
        var cut = frames[frames.Length / 2];
        world.Store.Blobs[name] = content[..(cut.FrameOffsetBytes + 1)];

        var report = await CheckAsync(world);

        Assert.False(report.IsClean);
        Assert.Equal(frames.Skip(frames.Length / 2).Sum(f => f.Blocks), report.Damaged.Sum(d => (long)d.Blocks));
        Assert.Contains(report.Damaged, d => d.Lba <= cut.Lba && cut.Lba < d.Lba + d.Blocks);
    }

    private static Task<CheckReport> CheckAsync(VolumeWorld world) => new VolumeChecker(world.Store, VolumeWorld.Name).RunAsync(default);

    private static async Task<VolumeWorld> FilledAsync()
    {
        var world = new VolumeWorld();
        (world.Options.CleanAbove, world.Options.RemoveAfter) = (1, TimeSpan.FromHours(1));
        await world.CreateAsync(Blocks * VolumeWorld.BlockDefaultBytes);
        await world.OpenAsync();
        for (var lba = 0; lba < Blocks; lba += 16) await world.WriteAsync((ulong)lba, VolumeWorld.Tagged(lba + 1, 16));
        await world.CloseAsync();
        return world;
    }

    private static (string Name, CheckpointRoot Root) NewestRoot(VolumeWorld world)
    {
        var name = world.Store.Blobs.Keys.Where(k => k.StartsWith(Keys.CheckpointPrefix, StringComparison.Ordinal)).Max(StringComparer.Ordinal)!;
        return (name, CheckpointRoot.Decode(world.Store.Blobs[name], name));
    }

    private static void Flip(VolumeWorld world, string name, int offset)
    {
        var damaged = world.Store.Blobs[name].ToArray();
        damaged[offset] ^= 0x20;
        world.Store.Blobs[name] = damaged;
    }
}
