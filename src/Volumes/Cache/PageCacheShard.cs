using Gateway.Scsi;
using Gateway.Volumes.Interop;

namespace Gateway.Volumes.Cache;

/// <summary>How a page comes into the cache.</summary>
internal enum PageOrigin
{
    /// <summary>A command asked for it.</summary>
    Requested,

    /// <summary>It came along with a frame of which a command asked for another page.</summary>
    Neighbour,

    /// <summary>Fetched because a sequential reader will ask for it, or is asking for it now.</summary>
    Stream,
}

/// <summary>One shard of a <see cref="PageCache"/>: an S3-FIFO cache of pages, and beside it a queue for what is read in sequence.</summary>
/// <remarks>
/// S3-FIFO (Yang et al., SOSP 2023). New pages enter the small queue, a tenth of the room. What leaves it having been read goes to the main
/// queue, the rest is let go and remembered; a page that comes back while it is remembered enters the main queue at once. The main queue
/// lets go of its oldest page that was not read since it last came by. So a scan passes through the small queue alone.
/// Pages of sequential readers have a queue of their own with room of its own, so that they never push out anything else. A page there that
/// nobody has read yet when its turn comes is spared once. One that comes again while it is remembered is no longer taken for a scan's.
/// One lock guards everything, copies included: no page is overwritten while somebody copies from it.
/// </remarks>
internal sealed class PageCacheShard(NativeArena arena, long arenaOffsetBytes, int capacity, int streamCapacity)
{
    private const int None = -1;
    private const byte FrequencyMax = 3;

    private readonly Lock _gate = new();
    private readonly int _smallTarget = Math.Max(1, capacity / 10);
    private int[] _buckets = [];
    private Slot[] _slots = []; // Made with the first page: a volume that nobody reads costs nothing.
    private GhostTable _ghosts = new(1);
    private Fifo _small = new();
    private Fifo _main = new();
    private Fifo _stream = new();
    private int _unused;
    private int _free = None;
    private bool _isClosed;

    private enum Queue : byte
    {
        Small,
        Main,
        Stream,
    }

    [Flags]
    private enum Marks : byte
    {
        None = 0,

        /// <summary>A command asked for it.</summary>
        Requested = 1,

        /// <summary>Its turn to leave the stream queue came before anybody read it.</summary>
        Spared = 2,

        /// <summary>Its content is cached under another key: let it go without a trace.</summary>
        Moved = 4,
    }

    /// <summary>Pages held.</summary>
    public int Count
    {
        get
        {
            lock (_gate) return _small.Count + _main.Count + _stream.Count;
        }
    }

    /// <summary>Copies a part of a page out; false if it is not here.</summary>
    public bool TryCopy(ulong key, ulong hash, int offsetBytes, int lengthBytes, ScatterList destination, int destinationOffsetBytes, bool isStream)
    {
        lock (_gate)
        {
            var index = Find(key, hash);
            if (index == None || offsetBytes + lengthBytes > _slots[index].LengthBytes) return false;
            ref var slot = ref _slots[index];
            Touch(ref slot, offsetBytes + lengthBytes, isStream);
            destination.CopyFrom(destinationOffsetBytes, PageOf(index).Slice(offsetBytes, lengthBytes));
            return true;
        }
    }

    /// <summary>True if a part of a page is here; this does not count as reading it.</summary>
    public bool Contains(ulong key, ulong hash, int endBytes)
    {
        lock (_gate)
        {
            var index = Find(key, hash);
            return index != None && endBytes <= _slots[index].LengthBytes;
        }
    }

    public void Add(ulong key, ulong hash, ReadOnlySpan<byte> page, PageOrigin origin)
    {
        lock (_gate)
        {
            if (_isClosed || Find(key, hash) != None) return;
            if (_slots.Length == 0) Allocate();
            var cameBack = origin != PageOrigin.Neighbour && capacity > 0 && _ghosts.Remove(key);
            var queue = origin switch
            {
                PageOrigin.Stream when !cameBack => Queue.Stream,
                PageOrigin.Requested when cameBack => Queue.Main,
                _ => Queue.Small,
            };
            if (!MakeRoom(queue)) return;
            Put(key, hash, page, queue, 0, origin == PageOrigin.Neighbour ? Marks.None : Marks.Requested);
        }
    }

    /// <summary>Takes a page out, to be put back under another key; false if it is not here whole.</summary>
    public bool TryTake(ulong key, ulong hash, Span<byte> page, out byte frequency)
    {
        frequency = 0;
        lock (_gate)
        {
            var index = Find(key, hash);
            if (index == None || _slots[index].LengthBytes < page.Length) return false;
            PageOf(index)[..page.Length].CopyTo(page);
            ref var slot = ref _slots[index];
            frequency = slot.Frequency;
            slot.Frequency = 0;
            slot.Marks = Marks.Moved;
            return true;
        }
    }

    /// <summary>Puts a page back that was taken out under another key.</summary>
    public void PutBack(ulong key, ulong hash, ReadOnlySpan<byte> page, byte frequency)
    {
        lock (_gate)
        {
            if (_isClosed || Find(key, hash) != None) return;
            if (_slots.Length == 0) Allocate();
            var queue = frequency > 0 ? Queue.Main : Queue.Small;
            if (MakeRoom(queue)) Put(key, hash, page, queue, frequency, Marks.Requested);
        }
    }

    /// <summary>Forgets everything and takes nothing more. Afterwards nobody touches the arena.</summary>
    public void Close()
    {
        lock (_gate)
        {
            _isClosed = true;
            _slots = [];
            _buckets = [];
            (_small, _main, _stream) = (new(), new(), new());
        }
    }

    private void Allocate()
    {
        _slots = new Slot[capacity + streamCapacity];
        _buckets = new int[System.Numerics.BitOperations.RoundUpToPowerOf2((uint)_slots.Length)];
        _buckets.AsSpan().Fill(None);
        _ghosts = new GhostTable(capacity);
    }

    private int Find(ulong key, ulong hash)
    {
        if (_buckets.Length == 0) return None;
        var index = _buckets[BucketOf(hash)];
        while (index != None && _slots[index].Key != key) index = _slots[index].HashNext;
        return index;
    }

    /// <summary>Sequential readers in small steps read a page many times: only its end counts, once.</summary>
    private static void Touch(ref Slot slot, int endBytes, bool isStream)
    {
        if (isStream && endBytes < slot.LengthBytes) return;
        slot.Marks |= Marks.Requested;
        if (isStream && slot.Queue == Queue.Stream) slot.IsConsumed = true;
        else if (slot.Frequency < FrequencyMax) slot.Frequency++;
    }

    private bool MakeRoom(Queue queue)
    {
        if (queue == Queue.Stream)
        {
            if (streamCapacity == 0) return false;
            while (_stream.Count >= streamCapacity) EvictFromStream();
            return true;
        }

        if (capacity == 0) return false;
        while (_small.Count + _main.Count >= capacity)
        {
            if (_small.Count > _smallTarget || _main.Count == 0) EvictFromSmall();
            else EvictFromMain();
        }

        return true;
    }

    private void EvictFromSmall()
    {
        var index = _small.Pop(_slots);
        ref var slot = ref _slots[index];
        if (slot.Frequency > 0)
        {
            slot.Frequency = 0;
            slot.Queue = Queue.Main;
            _main.Push(_slots, index);
            return;
        }

        if ((slot.Marks & Marks.Requested) != 0) _ghosts.Add(slot.Key);
        Free(index);
    }

    private void EvictFromMain()
    {
        var index = _main.Pop(_slots);
        if (_slots[index].Frequency == 0)
        {
            Free(index);
            return;
        }

        _slots[index].Frequency--;
        _main.Push(_slots, index);
    }

    private void EvictFromStream()
    {
        var index = _stream.Pop(_slots);
        ref var slot = ref _slots[index];
        if (slot.Frequency > 0 && capacity > 0)
        {
            // Somebody who does not read in sequence wants it, too.
            slot.Frequency = 0;
            slot.Queue = Queue.Main;
            _main.Push(_slots, index);
            while (_small.Count + _main.Count > capacity)
            {
                if (_small.Count > _smallTarget || _main.Count == 1) EvictFromSmall();
                else EvictFromMain();
            }
        }
        else if (!slot.IsConsumed && (slot.Marks & Marks.Spared) == 0)
        {
            slot.Marks |= Marks.Spared;
            _stream.Push(_slots, index);
        }
        else
        {
            if (slot.IsConsumed) _ghosts.Add(slot.Key);
            Free(index);
        }
    }

    private void Put(ulong key, ulong hash, ReadOnlySpan<byte> page, Queue queue, byte frequency, Marks marks)
    {
        int index;
        if (_free != None) (index, _free) = (_free, _slots[_free].QueueNext);
        else index = _unused++;
        ref var bucket = ref _buckets[BucketOf(hash)];
        _slots[index] = new Slot { Key = key, HashNext = bucket, QueueNext = None, LengthBytes = (ushort)page.Length, Frequency = frequency, Queue = queue, Marks = marks };
        bucket = index;
        page.CopyTo(PageOf(index));
        switch (queue)
        {
            case Queue.Small: _small.Push(_slots, index); break;
            case Queue.Main: _main.Push(_slots, index); break;
            default: _stream.Push(_slots, index); break;
        }
    }

    private void Free(int index)
    {
        ref var link = ref _buckets[BucketOf(FrameKey.Mix(_slots[index].Key))];
        while (link != index) link = ref _slots[link].HashNext;
        link = _slots[index].HashNext;
        _slots[index].QueueNext = _free;
        _free = index;
    }

    private int BucketOf(ulong hash) => (int)((uint)hash & (uint)(_buckets.Length - 1));

    private Span<byte> PageOf(int index) => arena.Slice(arenaOffsetBytes + ((long)index * PageCache.PageBytes), PageCache.PageBytes);

    private struct Slot
    {
        public ulong Key;
        public int HashNext;
        public int QueueNext;
        public ushort LengthBytes;
        public byte Frequency;
        public Queue Queue;
        public Marks Marks;

        /// <summary>In the stream queue: read to its end by a sequential reader.</summary>
        public bool IsConsumed;
    }

    /// <summary>A queue of slots, linked through themselves.</summary>
    private struct Fifo()
    {
        private int _head = None;
        private int _tail = None;

        public int Count { get; private set; }

        public void Push(Slot[] slots, int index)
        {
            slots[index].QueueNext = None;
            if (_tail == None) _head = index;
            else slots[_tail].QueueNext = index;
            _tail = index;
            Count++;
        }

        public int Pop(Slot[] slots)
        {
            var index = _head;
            _head = slots[index].QueueNext;
            if (_head == None) _tail = None;
            Count--;
            return index;
        }
    }
}
