using System.Globalization;
using System.Runtime.CompilerServices;
using Gateway.Backends.Core;
using Gateway.Scsi;
using Gateway.Scsi.Interop;
using Gateway.Volumes;
using Gateway.Volumes.Formats;
using Gateway.Volumes.Frames;
using Gateway.Volumes.Journal;
using Gateway.Volumes.Log;

// What do frames and segments cost? Compression and decompression of single frames, and building whole segments, against memcpy on the
// same machine. Usage: Gateway.Bench.Frames [FILE with data to compress]. Rates are per second of processor time, so that a busy machine
// hardly shows; the best of several runs counts.

const int SetBytes = 16 << 20;
const int Rounds = 7;
var sets = new List<(string Name, byte[] Data)> { ("noise", Noise()), ("text", Text()), ("half noise", Half()), ("6-bit noise", SixBits()) };
if (args.Length > 0) sets.Add(("file", FromFile(args[0])));

var copy = new byte[SetBytes];
var memcpy = Rate(() => sets[0].Data.CopyTo(copy, 0), SetBytes);
Console.WriteLine(Line($"memcpy {memcpy:F0} MB/s, CRC-32C {Rate(() => Crc32C.Compute(sets[0].Data), SetBytes):F0} MB/s, zero scan of noise {Rate(() => Scan(sets[0].Data), SetBytes):F0} MB/s"));
Console.WriteLine();
Console.WriteLine("data         frame  codec  probe  stored  compress MB/s  of memcpy  decompress MB/s");
foreach (var (name, data) in sets)
{
    foreach (var frameBytes in new[] { 4096, FrameHeader.PayloadMaxBytes })
    {
        foreach (var compression in new[] { VolumeCompression.Lz4, VolumeCompression.Zstd })
        {
            foreach (var probe in new[] { false, true }) Measure(name, data, frameBytes, compression, probe);
        }
    }
}

Console.WriteLine();
Console.WriteLine("segment of 8 MiB       codec  bytes stored per byte  build MB/s  allocated");
foreach (var (name, writeBytes, data) in new[] { ("4 KiB random, noise", 4096, sets[0].Data), ("4 KiB random, text", 4096, sets[1].Data), ("128 KiB, noise", 128 << 10, sets[0].Data), ("128 KiB, text", 128 << 10, sets[1].Data), ("512 B random, noise", 512, sets[0].Data) })
{
    foreach (var compression in new[] { VolumeCompression.None, VolumeCompression.Lz4, VolumeCompression.Zstd }) await MeasureBuildAsync(name, writeBytes, data, compression);
}

void Measure(string name, byte[] data, int frameBytes, VolumeCompression compression, bool probe)
{
    using var compressor = new FrameCompressor();
    var frames = new List<(FrameCodec Codec, byte[] Stored)>();
    var history = new CompressionHistory();
    long stored = 0;
    var rate = Rate(
        () =>
        {
            stored = 0;
            for (var at = 0; at < data.Length; at += frameBytes)
                stored += compressor.TryCompress(data.AsSpan(at, frameBytes), compression, probe ? history : new CompressionHistory(), out _, out var bytes) ? bytes.Length : frameBytes;
        },
        data.Length);
    for (var at = 0; at < data.Length; at += frameBytes)
    {
        if (compressor.TryCompress(data.AsSpan(at, frameBytes), compression, new CompressionHistory(), out var codec, out var bytes)) frames.Add((codec, bytes.ToArray()));
    }

    var plain = new byte[frameBytes];
    var decode = frames.Count == 0 ? double.NaN : Rate(
        () =>
        {
            foreach (var (codec, bytes) in frames)
                if (!FrameDecoder.TryDecompress(codec, bytes, plain)) throw new InvalidOperationException();
        },
        frames.Count * (long)frameBytes);
    Console.WriteLine(Line($"{name,-12} {frameBytes >> 10,3}K   {VolumeCompressionNames.NameOf(compression),-5}  {(probe ? "yes" : "no"),-5}  {(double)stored / data.Length,6:P1}  {rate,13:F0}  {rate / memcpy,9:F3}  {decode,15:F0}"));
}

async Task MeasureBuildAsync(string name, int writeBytes, byte[] data, VolumeCompression compression)
{
    var codec = VolumeCompressionNames.NameOf(compression);
    var volume = new VolumeRecord
    {
        Name = "v",
        Id = new Guid(1, 2, 3, [4, 5, 6, 7, 8, 9, 10, 11]),
        SizeBytes = 1L << 40,
        BlockSizeBytes = 512,
        PhysicalBlockSizeBytes = 4096,
        CreatedAt = default,
        Features = [codec],
        CompressionName = compression == VolumeCompression.None ? null : codec,
    };
    using var disk = new MemoryDisk(new byte[64 << 20]);
    using var journal = await JournalFile.CreateAsync(disk, volume.Id, volume.Id, 0);
    var batches = new List<JournalStretch>();
    var random = new Random(1);
    var writes = (8 << 20) / writeBytes;
    var perBatch = Math.Min(32, (1 << 20) / writeBytes);
    var places = Enumerable.Range(0, writes).ToArray();
    random.Shuffle(places);
    for (var first = 0; first < writes; first += perBatch)
    {
        using var batch = new NativeBuffer(JournalBatchHeader.PageBytes + ((perBatch * writeBytes) + 4095) / 4096 * 4096);
        for (var i = 0; i < perBatch; i++)
        {
            var bytes = data.AsSpan((first + i) * writeBytes, writeBytes);
            var offset = JournalBatchHeader.PageBytes + (i * writeBytes);
            bytes.CopyTo(batch.Span[offset..]);
            new JournalRecord((ulong)(places[first + i] * 2L * writeBytes / 512), (uint)(writeBytes / 512), JournalRecordKind.Data, offset, writeBytes, Crc32C.Compute(bytes))
                .WriteTo(batch.Span[(JournalBatchHeader.HeaderLengthBytes + (i * JournalRecord.RecordLengthBytes))..]);
        }

        var header = new JournalBatchHeader(journal.Head, 1, first + 1, 0, batch.LengthBytes, perBatch);
        header.WriteTo(batch.Span[..JournalBatchHeader.PageBytes], journal.Seed);
        var list = new ScatterList();
        list.Add(batch);
        await journal.AppendAsync(list);
        batches.Add(new JournalStretch(new JournalBatch(header, perBatch * writeBytes)));
    }

    var builder = new SegmentBuilder(volume, journal, SegmentBufferPool.Shared);
    long length = 0, allocated = 0;
    var best = double.MaxValue;
    for (var round = 0; round < Rounds * 3; round++)
    {
        var before = GC.GetAllocatedBytesForCurrentThread();
        var start = Environment.CpuUsage.TotalTime;
        var segment = await builder.BuildAsync(batches, new SegmentId(1, 1), volume.Id, default); // The disk answers at once: it all runs on this thread.
        best = Math.Min(best, (Environment.CpuUsage.TotalTime - start).TotalSeconds);
        allocated = GC.GetAllocatedBytesForCurrentThread() - before;
        length = segment.Header.LengthBytes;
        segment.Recycle();
    }

    Console.WriteLine(Line($"{name,-22} {codec,-5}  {(double)length / (8 << 20),21:F4}  {(8 << 20) / best / 1e6,10:F0}  {allocated,9}"));
}

double Rate(Action action, long bytes)
{
    var best = double.MaxValue;
    for (var round = 0; round < Rounds; round++)
    {
        var start = Environment.CpuUsage.TotalTime;
        action();
        best = Math.Min(best, (Environment.CpuUsage.TotalTime - start).TotalSeconds);
    }

    return bytes / best / 1e6;
}

[MethodImpl(MethodImplOptions.NoInlining)]
static void Scan(byte[] data)
{
    for (var at = 0; at < data.Length; at += FrameHeader.PayloadMaxBytes) ZeroRuns.TryFind(data.AsSpan(at, FrameHeader.PayloadMaxBytes), 0, 0, out _, out _);
}

static string Line(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);

static byte[] Noise()
{
    var data = new byte[SetBytes];
    new Random(1).NextBytes(data);
    return data;
}

static byte[] Text()
{
    // Words with the frequencies of a language, more or less: the n-th has weight 1 / n.
    var random = new Random(2);
    var words = Enumerable.Range(0, 4000).Select(_ => new string([.. Enumerable.Range(0, random.Next(2, 11)).Select(_ => "etaoinshrdlucmfwypvbgkjqxz"[(int)(26 * random.NextDouble() * random.NextDouble())])])).ToArray();
    var data = new byte[SetBytes];
    for (var at = 0; at < data.Length;)
    {
        foreach (var c in words[(int)Math.Pow(words.Length, random.NextDouble()) - 1])
            if (at < data.Length) data[at++] = (byte)c;
        if (at < data.Length) data[at++] = (byte)' ';
    }

    return data;
}

static byte[] Half()
{
    var (noise, text) = (Noise(), Text());
    for (var at = 0; at < noise.Length; at += 1 << 20) text.AsSpan(at, 512 << 10).CopyTo(noise.AsSpan(at));
    return noise;
}

static byte[] SixBits()
{
    var data = Noise();
    for (var i = 0; i < data.Length; i++) data[i] &= 0x3F;
    return data;
}

static byte[] FromFile(string path)
{
    var data = new byte[SetBytes];
    using var file = File.OpenRead(path);
    for (int at = 0, read; at < data.Length && (read = file.Read(data, at, data.Length - at)) > 0;) at += read;
    return data;
}

/// <summary>A journal disk in memory.</summary>
internal sealed class MemoryDisk(byte[] content) : IJournalDisk
{
    public string Name => "memory";

    public long LengthBytes => content.Length;

    public ValueTask WriteAsync(ScatterList list, long offsetBytes)
    {
        list.CopyTo(0, content.AsSpan((int)offsetBytes, list.LengthBytes));
        return ValueTask.CompletedTask;
    }

    public ValueTask ReadAsync(Memory<byte> destination, long offsetBytes)
    {
        content.AsMemory((int)offsetBytes, destination.Length).CopyTo(destination);
        return ValueTask.CompletedTask;
    }

    public ValueTask FlushAsync() => ValueTask.CompletedTask;

    public void Dispose()
    {
    }
}
