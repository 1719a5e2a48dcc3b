using System.Buffers.Binary;
using Gateway.Scsi;
using Xunit;
using Xunit.Sdk;

namespace Gateway.Volumes.Tests;

/// <summary>Random writes, flushes and crashes against a model that knows which states are allowed. One seed decides the operations.</summary>
public class VolumeCrashTests
{
    private const int Blocks = 2048;

    public static TheoryData<int> Seeds => [.. Enumerable.Range(1, 40)];

    /// <summary>After a kill nothing acknowledged is missing; after a power cut nothing flushed; after the loss of the journal nothing that had reached the bucket. Always a prefix.</summary>
    [Theory, MemberData(nameof(Seeds))]
    public async Task Volume_CrashedAnyHow_ComesBackAsAPrefixThatHoldsWhatWasPromised(int seed)
    {
        var random = new Random(seed);
        await using var world = new VolumeWorld { Random = new Random(seed), FailureRate = seed % 2 == 0 ? 0.03 : 0 };
        await world.CreateAsync();
        var history = new History();

        for (var round = 0; round < 4; round++)
        {
            await world.OpenAsync();
            await RunAsync(world, history, random);

            // What is promised is what was answered before the crash; the old volume goes on as a ghost.
            var (completed, flushed) = (history.Completed, history.Flushed);
            var inBucket = await LastWriteInBucketAsync(world);
            int promised;
            switch (random.Next(4))
            {
                case 0:
                    await history.QuiesceAsync();
                    await world.CloseAsync();
                    promised = history.Completed;
                    break;
                case 1:
                    world.Kill();
                    promised = completed;
                    break;
                case 2:
                    world.CutPower();
                    promised = flushed;
                    break;
                default:
                    world.CutPower();
                    world.LoseJournal();
                    promised = history.OpsWithin(inBucket);
                    break;
            }

            await world.OpenAsync();
            var survived = await history.FindPrefixAsync(world, promised, seed);
            history.TruncateTo(survived);
            await world.CloseAsync();
        }
    }

    private static async Task RunAsync(VolumeWorld world, History history, Random random)
    {
        var pending = new List<Task>();
        for (var step = random.Next(20, 150); step > 0; step--)
        {
            var blocks = random.Next(1, random.Next(4) == 0 ? 300 : 16);
            var lba = random.Next(Blocks - blocks);
            switch (random.Next(10))
            {
                case 0:
                    var before = history.Completed;
                    Assert.Equal(BlockResult.Success, await world.Volume.FlushAsync(default));
                    history.Flush(before);
                    break;
                case 1:
                    pending.Add(history.IssueAsync(lba, blocks, zero: true, fua: false, _ => world.Volume.ZeroAsync(new BlockRange((ulong)lba, (uint)blocks), false, default).AsTask()));
                    break;
                case 2:
                    pending.Add(history.IssueAsync(lba, blocks, zero: false, fua: true, tag => world.WriteAsync((ulong)lba, VolumeWorld.Tagged(tag, blocks), fua: true)));
                    break;
                case 3:
                    await Task.WhenAll(pending);
                    history.AssertReads(lba, await world.ReadAsync((ulong)lba, blocks));
                    break;
                default:
                    pending.Add(history.IssueAsync(lba, blocks, zero: false, fua: false, tag => world.WriteAsync((ulong)lba, VolumeWorld.Tagged(tag, blocks))));
                    break;
            }

            if (random.Next(8) == 0) await Task.WhenAll(pending);
        }

        if (random.Next(2) == 0) await Task.WhenAll(pending);
    }

    private static async Task<long> LastWriteInBucketAsync(VolumeWorld world) =>
        (await new VolumeCatalog(world.Store, TimeProvider.System).DescribeAsync(VolumeWorld.Name, default)).LastWriteNumber;

    /// <summary>All operations in the order in which they were issued, which is the order in which they take effect.</summary>
    private sealed class History
    {
        private readonly Lock _gate = new();
        private readonly List<Op> _ops = [];
        private int _flushed;
        private long _lastTag;
        private readonly List<Task> _open = [];

        /// <summary>How many operations from the first on have all completed.</summary>
        public int Completed
        {
            get
            {
                lock (_gate)
                {
                    var open = _ops.FindIndex(o => !o.Done);
                    return open < 0 ? _ops.Count : open;
                }
            }
        }

        public int Flushed
        {
            get
            {
                lock (_gate)
                {
                    // A completed forced write makes everything before it durable, too: the journal is one sequence.
                    return Math.Max(_flushed, _ops.FindLastIndex(o => o.Done && o.Fua) + 1);
                }
            }
        }

        public void Flush(int completed) => _flushed = Math.Max(_flushed, completed);

        public async Task IssueAsync(int lba, int blocks, bool zero, bool fua, Func<long, Task<BlockResult>> start)
        {
            Op op;
            Task<BlockResult> task;
            lock (_gate)
            {
                op = new Op(lba, blocks, zero ? 0 : ++_lastTag) { Fua = fua };
                _ops.Add(op);
                task = start(op.Tag);
            }

            lock (_gate) _open.Add(task);
            var result = await task;
            lock (_gate) op.Done = result.IsSuccess;
        }

        public async Task QuiesceAsync()
        {
            await Task.WhenAll(_open);
            _open.Clear();
        }

        /// <summary>The ops whose journal records all lie within the first <paramref name="writes"/> records.</summary>
        public int OpsWithin(long writes)
        {
            const int BlocksPerRecord = (128 << 10) / VolumeWorld.BlockDefaultBytes;
            long records = 0;
            var count = 0;
            foreach (var op in _ops)
            {
                records += op.Tag == 0 ? 1 : (op.Blocks + BlocksPerRecord - 1) / BlocksPerRecord;
                if (records > writes) break;
                count++;
            }

            return count;
        }

        public void AssertReads(int lba, byte[] data)
        {
            var image = new long[Blocks];
            foreach (var op in _ops) Array.Fill(image, op.Tag, op.Lba, op.Blocks);
            for (var i = 0; i < data.Length / VolumeWorld.BlockDefaultBytes; i++) Assert.Equal(image[lba + i], TagOf(data, i));
        }

        /// <summary>The number of operations whose effect, and no other, is what the volume holds.</summary>
        public async Task<int> FindPrefixAsync(VolumeWorld world, int promised, int seed)
        {
            var found = new long[Blocks];
            for (var lba = 0; lba < Blocks; lba += 256)
            {
                var data = await world.ReadAsync((ulong)lba, 256);
                for (var i = 0; i < 256; i++) found[lba + i] = TagOf(data, i);
            }

            var image = new long[Blocks];
            var best = -1;
            for (var count = 0; count <= _ops.Count; count++)
            {
                if (count > 0) Array.Fill(image, _ops[count - 1].Tag, _ops[count - 1].Lba, _ops[count - 1].Blocks);
                if (count >= promised && image.AsSpan().SequenceEqual(found)) best = count;
            }

            return best >= 0 ? best : throw new XunitException($"Seed {seed}: what is readable is no prefix of the {_ops.Count} writes that holds the first {promised}.");
        }

        public void TruncateTo(int count)
        {
            _ops.RemoveRange(count, _ops.Count - count);
            _flushed = count;
            _open.Clear();
            foreach (var op in _ops) op.Done = true;
        }

        private static long TagOf(byte[] data, int block)
        {
            var bytes = data.AsSpan(block * VolumeWorld.BlockDefaultBytes, VolumeWorld.BlockDefaultBytes);
            var tag = BinaryPrimitives.ReadInt64LittleEndian(bytes);
            for (var i = 8; i < bytes.Length; i += 8) Assert.Equal(tag, BinaryPrimitives.ReadInt64LittleEndian(bytes[i..]));
            return tag;
        }

        private sealed record Op(int Lba, int Blocks, long Tag)
        {
            public bool Fua { get; init; }

            public bool Done { get; set; }
        }
    }
}
