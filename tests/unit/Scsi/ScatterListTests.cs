using Gateway.Scsi.Interop;

namespace Gateway.Scsi.Tests;

public sealed class ScatterListTests
{
    [Theory]
    [InlineData(21)]
    [InlineData(22)]
    public void Copies_RandomRanges_AgreeWithFlatBytes(int seed)
    {
        var random = new Random(seed);
        using var data = new GuardedData(3000, 1, 2, 700, 3, 64);
        var model = new byte[3000];
        data.Set(model);
        var list = new ScatterList();
        data.AddTo(list);
        var slice = new ScatterList();

        for (var i = 0; i < 2_000; i++)
        {
            var offset = random.Next(3001);
            var bytes = new byte[random.Next(3001 - offset)];
            random.NextBytes(bytes);
            slice.Reset();
            slice.AddSlice(list, offset, bytes.Length);
            Assert.Equal(bytes.Length, slice.LengthBytes);
            switch (random.Next(4))
            {
                case 0:
                    list.CopyFrom(offset, bytes);
                    bytes.CopyTo(model, offset);
                    break;
                case 1:
                    slice.CopyFrom(0, bytes);
                    bytes.CopyTo(model, offset);
                    break;
                case 2:
                    list.Clear(offset, bytes.Length);
                    model.AsSpan(offset, bytes.Length).Clear();
                    break;
                default:
                    slice.CopyTo(0, bytes);
                    Assert.Equal(model[offset..(offset + bytes.Length)], bytes);
                    break;
            }
        }

        Assert.Equal(model, data.ToArray());
        Assert.True(data.GuardsIntact());
    }

    [Theory]
    [InlineData(-1, 1)]
    [InlineData(0, 11)]
    [InlineData(10, 1)]
    [InlineData(int.MaxValue, 1)]
    public void Ranges_NotInside_Throw(int offset, int length)
    {
        using var buffer = new NativeBuffer(10);
        var list = new ScatterList();
        list.Add(buffer);

        Assert.Throws<ArgumentOutOfRangeException>(() => list.CopyTo(offset, new byte[length]));
        Assert.Throws<ArgumentOutOfRangeException>(() => list.CopyFrom(offset, new byte[length]));
        Assert.Throws<ArgumentOutOfRangeException>(() => list.Clear(offset, length));
        Assert.Throws<ArgumentOutOfRangeException>(() => new ScatterList().AddSlice(list, offset, length));
    }

    [Fact]
    public void Add_PastTwoGiB_Throws()
    {
        var list = new ScatterList();
        list.Add(new Iovec(0, int.MaxValue));

        Assert.Throws<OverflowException>(() => list.Add(new Iovec(0, 1)));
    }

    [Fact]
    public void Add_EmptyPiece_IsDropped()
    {
        var list = new ScatterList();
        list.Add(new Iovec(4096, 0));

        Assert.Equal((0, 0), (list.Segments.Length, list.LengthBytes));
    }
}
