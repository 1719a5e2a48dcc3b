using Gateway.Scsi;

namespace Gateway.Volumes.Reading;

/// <summary>What a read tells about sequential readers.</summary>
/// <param name="Stream">The stream it belongs to, for <see cref="StreamDetector.Issued"/> and <see cref="StreamDetector.Lost"/>.</param>
/// <param name="Birth">Tells the stream from one that took its place.</param>
/// <param name="IsStream">It continues a sequential reader.</param>
/// <param name="WasAhead">What it reads had been fetched ahead.</param>
/// <param name="AheadLba">Where to fetch ahead from.</param>
/// <param name="AheadBlocks">How much to fetch ahead now; 0 for nothing.</param>
/// <param name="MayPass">There is room for up to 4 MiB more, to fill a last request.</param>
internal readonly record struct StreamAdvice(int Stream, long Birth, bool IsStream, bool WasAhead, ulong AheadLba, ulong AheadBlocks, bool MayPass);

/// <summary>
/// Tells sequential readers from others, several side by side, and says how far ahead of each to fetch: 256 KiB at first, twice as much each
/// time it comes closer, up to a share of the room. A reader that finds what was fetched for it gone again gets half as much.
/// </summary>
/// <remarks>Thread safe; allocates nothing. Reads that start near a stream's end without continuing it, as parallel commands do, do not end it.</remarks>
/// <param name="blockLengthBytes">Logical block length.</param>
/// <param name="capacityBlocks">The volume's end: nothing is fetched past it. It may grow.</param>
/// <param name="roomBytes">Room for what is read ahead, shared by all streams; 0 for no reading ahead.</param>
internal sealed class StreamDetector(int blockLengthBytes, ulong capacityBlocks, long roomBytes)
{
    public const int StreamsMax = 8;

    private const int ContinuationsMin = 2;
    private const int StraysMax = 16;
    private const int ActiveReads = 256;
    private const int WindowMinBytes = 256 << 10;
    private const int NearBytes = 1 << 20;

    private readonly Lock _gate = new();
    private readonly Stream[] _streams = new Stream[StreamsMax];
    private readonly ulong _nearBlocks = (ulong)(NearBytes / blockLengthBytes);
    private readonly ulong _windowMin = (ulong)(WindowMinBytes / blockLengthBytes);
    private readonly ulong _chunkMax = (ulong)((4 << 20) / blockLengthBytes);
    private ulong _capacityBlocks = capacityBlocks;
    private long _reads;

    /// <summary>The volume has grown.</summary>
    public void Grow(ulong blocks) => Volatile.Write(ref _capacityBlocks, blocks);

    public StreamAdvice Observe(BlockRange range)
    {
        lock (_gate)
        {
            _reads++;
            var (found, oldest) = (-1, 0);
            for (var i = 0; i < StreamsMax; i++)
            {
                ref var candidate = ref _streams[i];
                if (candidate.LastRead > 0 && candidate.Next == range.Lba)
                {
                    found = i;
                    break;
                }

                if (candidate.LastRead < _streams[oldest].LastRead) oldest = i;
            }

            return found >= 0 ? Continue(found, range) : Stray(oldest, range);
        }
    }

    /// <summary>What was to be fetched ahead is on its way, up to a block.</summary>
    public void Issued(in StreamAdvice advice, ulong endLba)
    {
        lock (_gate)
        {
            ref var stream = ref _streams[advice.Stream];
            if (stream.Birth != advice.Birth) return;
            stream.IsIssuing = false;
            stream.Ahead = Math.Max(stream.Ahead, endLba);
        }
    }

    /// <summary>What had been fetched ahead was gone before it was read: there is less room than there seemed to be.</summary>
    public void Lost(in StreamAdvice advice)
    {
        lock (_gate)
        {
            ref var stream = ref _streams[advice.Stream];
            if (stream.Birth != advice.Birth) return;
            stream.Window /= 2;
            if (stream.Window < _windowMin) (stream.Window, stream.Run) = (0, 0);
        }
    }

    private StreamAdvice Continue(int index, BlockRange range)
    {
        ref var stream = ref _streams[index];
        var wasAhead = range.Lba < stream.Ahead;
        stream.Next = range.Lba + range.Blocks;
        stream.LastRead = _reads;
        stream.Strays = 0;
        if (stream.Run < int.MaxValue) stream.Run++;
        var advice = new StreamAdvice(index, stream.Birth, stream.Run >= ContinuationsMin, wasAhead, 0, 0, false);
        if (!advice.IsStream || stream.IsIssuing) return advice;

        var windowMax = WindowMax();
        var from = Math.Max(stream.Ahead, stream.Next);
        // It grows each time that the reader has come as far as half of it.
        var grows = stream.Next - stream.Grown >= stream.Window / 2;
        var window = Math.Min(grows ? Math.Max(stream.Window * 2, Math.Max(_windowMin, range.Blocks * 2UL)) : stream.Window, windowMax);
        if (window < _windowMin || from >= Volatile.Read(ref _capacityBlocks)) return advice;
        // In large pieces: half of the window, or what one request carries.
        var room = window - Math.Min(window, from - stream.Next);
        if (room < Math.Min(window / 2, _chunkMax)) return advice;
        if (window != stream.Window) (stream.Window, stream.Grown) = (window, stream.Next);
        stream.IsIssuing = true;
        return advice with { AheadLba = from, AheadBlocks = room, MayPass = windowMax > _chunkMax };
    }

    /// <summary>A read that continues no stream: one near a stream's end leaves it as it is, any other may be the first of a new one.</summary>
    private StreamAdvice Stray(int oldest, BlockRange range)
    {
        for (var i = 0; i < StreamsMax; i++)
        {
            ref var near = ref _streams[i];
            if (near.Run < ContinuationsMin || range.Lba + _nearBlocks < near.Next || range.Lba > near.Next + _nearBlocks) continue;
            if (++near.Strays > StraysMax) break;
            near.Next = Math.Max(near.Next, range.Lba + range.Blocks);
            return new StreamAdvice(i, near.Birth, true, false, 0, 0, false);
        }

        _streams[oldest] = new Stream { Next = range.Lba + range.Blocks, LastRead = _reads, Birth = _reads };
        return new StreamAdvice(oldest, _reads, false, false, 0, 0, false);
    }

    private ulong WindowMax()
    {
        var active = 0;
        foreach (ref var stream in _streams.AsSpan())
            if (stream.Run >= ContinuationsMin && _reads - stream.LastRead < ActiveReads) active++;
        var share = (ulong)(roomBytes * 3 / 4 / Math.Max(active, 1) / blockLengthBytes);
        return share > 2 * _chunkMax ? share - _chunkMax : Math.Min(share, _chunkMax);
    }

    private struct Stream
    {
        /// <summary>The block after the last one read.</summary>
        public ulong Next;

        /// <summary>The block after the last one fetched ahead.</summary>
        public ulong Ahead;

        /// <summary>Blocks to be ahead by.</summary>
        public ulong Window;

        /// <summary>The reader's place when that last changed.</summary>
        public ulong Grown;

        public long LastRead;
        public long Birth;

        /// <summary>Reads that continued it.</summary>
        public int Run;

        public int Strays;
        public bool IsIssuing;
    }
}
