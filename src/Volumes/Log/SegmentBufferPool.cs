namespace Gateway.Volumes.Log;

/// <summary>Keeps the large buffers in which segments are built. One for the whole process; thread safe.</summary>
/// <remarks>
/// Buffers are arrays, and not native memory, on purpose. A store may be deaf to cancellation and read a buffer long after its put was
/// given up. Such a buffer is just not returned: nobody writes to it any more, and it lives until the last reader lets go.
/// How many are in use at a time is bounded by the upload windows; how much is kept when nobody uses it is bounded here.
/// </remarks>
internal sealed class SegmentBufferPool(long keptMaxBytes)
{
    private const int GranuleBytes = 1 << 20;
    private const long SharedKeptMaxBytes = 40 << 20; // Four segments of the default size.

    private readonly Lock _gate = new();
    private readonly List<byte[]> _kept = [];
    private long _keptBytes;

    public static SegmentBufferPool Shared { get; } = new(SharedKeptMaxBytes);

    public long KeptBytes => Volatile.Read(ref _keptBytes);

    /// <summary>A buffer of at least that length; its content is whatever was there.</summary>
    public byte[] Rent(int lengthMinBytes)
    {
        lock (_gate)
        {
            var best = -1;
            for (var i = 0; i < _kept.Count; i++)
            {
                if (_kept[i].Length >= lengthMinBytes && (best < 0 || _kept[i].Length < _kept[best].Length)) best = i;
            }

            if (best >= 0) return Take(best);
        }

        var length = (lengthMinBytes + (long)GranuleBytes - 1) / GranuleBytes * GranuleBytes;
        return GC.AllocateUninitializedArray<byte>((int)Math.Min(length, Array.MaxLength));
    }

    /// <summary>Gives a buffer back that nobody reads or writes any more. The largest ones are kept.</summary>
    public void Return(byte[] buffer)
    {
        lock (_gate)
        {
            _kept.Add(buffer);
            _keptBytes += buffer.Length;
            while (_keptBytes > keptMaxBytes)
            {
                var smallest = 0;
                for (var i = 1; i < _kept.Count; i++)
                {
                    if (_kept[i].Length < _kept[smallest].Length) smallest = i;
                }

                Take(smallest);
            }
        }
    }

    private byte[] Take(int index)
    {
        var buffer = _kept[index];
        _kept[index] = _kept[^1];
        _kept.RemoveAt(_kept.Count - 1);
        _keptBytes -= buffer.Length;
        return buffer;
    }
}
