using System.Numerics;
using Gateway.Backends.Core;

namespace Gateway.Backends.Grpc.Server;

/// <summary>Buffers for the bytes of blobs on their way, of a limited size together. Thread safe.</summary>
/// <remarks>
/// Buffers come in sizes that differ by an eighth, are kept for the next one of their size, and those that are kept count, too: they are given up
/// where a buffer of another size would not fit beside them.
/// </remarks>
internal sealed class TransferMemory(long limitBytes)
{
    private const int SizeMinBytes = 64 << 10;

    /// <summary>What callers are told to stay away for: most transfers are over by then.</summary>
    private static readonly TimeSpan RetryAfter = TimeSpan.FromSeconds(1);

    private readonly Lock _lock = new();
    private readonly Dictionary<int, Stack<byte[]>> _kept = [];
    private long _usedBytes;
    private long _keptBytes;

    /// <summary>Bytes of the buffers in use.</summary>
    public long UsedBytes
    {
        get
        {
            lock (_lock) return _usedBytes;
        }
    }

    /// <summary>Bytes of the buffers in use and of those that are kept; never more than the limit.</summary>
    public long HeldBytes
    {
        get
        {
            lock (_lock) return _usedBytes + _keptBytes;
        }
    }

    /// <summary>A buffer of that many bytes, with anything in them.</summary>
    /// <exception cref="BlobStoreException"><see cref="BlobErrorKind.Throttled"/>: there is no room now. <see cref="BlobErrorKind.Rejected"/>: there never is.</exception>
    public Buffer Rent(int lengthBytes)
    {
        if (lengthBytes == 0) return new Buffer(this, [], 0);
        var size = SizeFor(lengthBytes);
        if (size > limitBytes) throw new BlobStoreException(BlobErrorKind.Rejected, $"{lengthBytes} bytes at a time are more than this server has memory for.");
        lock (_lock)
        {
            if (_usedBytes + size > limitBytes) throw new BlobStoreException(BlobErrorKind.Throttled, "The memory for blobs on their way is used up for the moment.") { RetryAfter = RetryAfter };
            _usedBytes += size;
            if (_kept.TryGetValue(size, out var stack) && stack.TryPop(out var array))
            {
                _keptBytes -= size;
                return new Buffer(this, array, lengthBytes);
            }

            if (_usedBytes + _keptBytes > limitBytes)
            {
                _kept.Clear();
                _keptBytes = 0;
            }
        }

        return new Buffer(this, GC.AllocateUninitializedArray<byte>(size), lengthBytes);
    }

    private void Return(byte[] array)
    {
        if (array.Length == 0) return;
        lock (_lock)
        {
            _usedBytes -= array.Length;
            _keptBytes += array.Length;
            if (!_kept.TryGetValue(array.Length, out var stack)) _kept.Add(array.Length, stack = []);
            stack.Push(array);
        }
    }

    /// <summary>The next multiple of an eighth of the power of two below it.</summary>
    private static int SizeFor(int lengthBytes)
    {
        if (lengthBytes <= SizeMinBytes) return SizeMinBytes;
        var step = 1L << (BitOperations.Log2((uint)(lengthBytes - 1)) - 3);
        return (int)Math.Min((lengthBytes + step - 1) / step * step, Array.MaxLength);
    }

    /// <summary>A buffer in use. Disposed once, by whoever rented it, when nobody touches it any more.</summary>
    public sealed class Buffer : IDisposable
    {
        private readonly TransferMemory _owner;
        private readonly int _lengthBytes;
        private byte[]? _array;

        internal Buffer(TransferMemory owner, byte[] array, int lengthBytes) => (_owner, _array, _lengthBytes) = (owner, array, lengthBytes);

        public Memory<byte> Memory => (_array ?? throw new ObjectDisposedException(nameof(Buffer))).AsMemory(0, _lengthBytes);

        public void Dispose()
        {
            if (Interlocked.Exchange(ref _array, null) is { } array) _owner.Return(array);
        }
    }
}
