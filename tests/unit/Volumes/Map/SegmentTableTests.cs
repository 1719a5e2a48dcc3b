using System.Buffers;
using Gateway.Volumes.Formats;
using Gateway.Volumes.Map;
using Xunit;

namespace Gateway.Volumes.Tests.Map;

public class SegmentTableTests
{
    public static TheoryData<int> Seeds => [.. Enumerable.Range(1, 20)];

    [Theory, MemberData(nameof(Seeds))]
    public void SegmentTable_RandomOperations_AgreesWithADictionary(int seed)
    {
        var random = new Random(seed);
        var table = new SegmentTable();
        var model = new SortedDictionary<uint, SegmentUse>();
        var stored = new Dictionary<PiecePointer, byte[]>();
        NumberedPointer[] root = [];
        var atRoot = new SortedDictionary<uint, SegmentUse>();
        var atFreeze = new SortedDictionary<uint, SegmentUse>();
        FrozenSegmentTable? frozen = null;
        uint next = 1, offset = 64;

        for (var step = 0; step < 3000; step++)
        {
            switch (random.Next(12))
            {
                case < 4:
                    next += (uint)random.Next(1, random.Next(10) == 0 ? 10_000 : 3);
                    var segment = new SegmentUse(next, (SegmentKind)random.Next(2), random.Next(128, 64 << 20), (uint)random.Next(1, 20_000), 0);
                    table.Add(segment.Sequence, segment.LengthBytes, segment.TotalBlocks, segment.Kind);
                    model.Add(next, segment);
                    break;
                case < 8 when model.Count > 0:
                    var some = model.Values.ElementAt(random.Next(model.Count));
                    var live = (uint)random.Next((int)some.TotalBlocks + 1);
                    if (live > some.LiveBlocks) table.AddLive(some.Sequence, live - some.LiveBlocks);
                    else table.SubtractLive(some.Sequence, some.LiveBlocks - live);
                    model[some.Sequence] = some with { LiveBlocks = live };
                    break;
                case 8 when model.Count > 0:
                    foreach (var old in model.Keys.Take(random.Next(1, 5)).ToArray())
                    {
                        table.Remove(old);
                        model.Remove(old);
                    }

                    break;
                case 9 when frozen is null:
                    frozen = table.Freeze();
                    atFreeze = new(model);
                    break;
                case 10 when frozen is not null && random.Next(3) == 0:
                    table.Abandon(frozen);
                    frozen = null;
                    break;
                case 10 when frozen is not null:
                    foreach (var page in frozen.Pages.Where(p => !p.IsEmpty))
                    {
                        var writer = new ArrayBufferWriter<byte>();
                        page.EncodeTo(writer);
                        page.NewPointer = new PiecePointer(1, offset++, (uint)writer.WrittenCount, 0);
                        stored.Add(page.NewPointer, writer.WrittenSpan.ToArray());
                    }

                    root = frozen.AllPages();
                    table.Publish(frozen);
                    Assert.Equal(root, table.Pages);
                    (frozen, atRoot) = (null, atFreeze);
                    break;
                case 11 when frozen is null && random.Next(20) == 0:
                    table = new SegmentTable();
                    foreach (var page in root.OrderBy(_ => random.Next())) table.LoadPage(page, stored[page.Pointer], next);
                    model = new(atRoot);
                    break;
            }
        }

        Assert.Equal(model.Values, table.Segments());
        Assert.Equal((model.Count, model.Values.Sum(s => (long)s.LengthBytes), model.Values.Sum(s => (long)s.TotalBlocks), model.Values.Sum(s => (long)s.LiveBlocks)), (table.Count, table.LengthBytes, table.TotalBlocks, table.LiveBlocks));
        Assert.Equal(model.Values.Where(s => s.LiveBlocks == 0).Sum(s => (long)s.LengthBytes), table.DeadLengthBytes);
        Assert.Equal(model.Values.Where(s => s.LiveBlocks == 0).Sum(s => (long)s.TotalBlocks), table.DeadBlocks);
        Assert.All(model.Values, s => Assert.True(table.TryGet(s.Sequence, out var found) && found == s));
        Assert.False(table.TryGet(next + 1, out _));
        Assert.Equal(0, table.UnderflowBlocks);
    }

    [Fact]
    public void SubtractLive_MoreThanThereAre_StopsAtZeroAndIsCounted()
    {
        var table = new SegmentTable();
        table.Add(1, 4096, 10, SegmentKind.Log);
        table.AddLive(1, 4);

        table.SubtractLive(1, 6);
        table.SubtractLive(99, 5);

        Assert.Equal((0, 7), (table.LiveBlocks, table.UnderflowBlocks));
    }

    [Fact]
    public void AddLive_ToAnUnknownOrFullSegment_IsRefused()
    {
        var table = new SegmentTable();
        table.Add(1, 4096, 10, SegmentKind.Log);

        Assert.Throws<InvalidOperationException>(() => table.AddLive(2, 1));
        Assert.Throws<InvalidOperationException>(() => table.AddLive(1, 11));
        Assert.Throws<ArgumentException>(() => table.Add(1, 4096, 10, SegmentKind.Log));
    }

    [Fact]
    public void Remove_OfAllSegmentsOfAPage_LetsThePageGo()
    {
        var table = new SegmentTable();
        for (uint sequence = 1; sequence < 3 * SegmentTable.SegmentsPerPage; sequence++) table.Add(sequence, 4096, 1, SegmentKind.Log);
        var frozen = table.Freeze();
        foreach (var page in frozen.Pages) page.NewPointer = new PiecePointer(1, 64 + page.Number, 5000, 0);
        table.Publish(frozen);

        for (uint sequence = 1; sequence < SegmentTable.SegmentsPerPage; sequence++) table.Remove(sequence);
        frozen = table.Freeze();

        Assert.True(Assert.Single(frozen.Pages).IsEmpty);
        Assert.Equal([1u, 2u], frozen.AllPages().Select(p => p.Number));
        Assert.Single(frozen.Superseded);
        table.Publish(frozen);
        Assert.Equal([1u, 2u], table.Pages.Select(p => p.Number));
    }
}
