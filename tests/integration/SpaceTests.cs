using System.Globalization;
using System.Runtime.InteropServices;
using Gateway.Backends.File;
using Gateway.Scsi;
using Gateway.Scsi.Interop;
using Gateway.Volumes;
using Gateway.Volumes.Checking;
using Gateway.Volumes.Journal;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;
using Xunit.Abstractions;

namespace Gateway.Integration.Tests;

/// <summary>
/// A volume gives its space back: filled, overwritten five times at random, half of it trimmed. The bucket then holds at most 1.35 times what
/// is live, a scrub finds it clean, and every block is what was written last, from the bucket alone.
/// </summary>
/// <remarks>2 GiB; SPACE_MIB sets another size. The data does not compress.</remarks>
public sealed class SpaceTests(ITestOutputHelper output) : IDisposable
{
    private const int BlockBytes = 4096;
    private const int TrimBlocks = 256;
    private const int Overwrites = 5;
    private const int Workers = 32;
    private const double BucketPerLiveMax = 1.35;
    private static readonly TimeSpan PollInterval = TimeSpan.FromMilliseconds(250);
    private static readonly TimeSpan CleaningMax = TimeSpan.FromMinutes(5);

    private readonly string _scratch = Directory.CreateTempSubdirectory("tcmu-gateway-space-").FullName;
    private readonly long _started = TimeProvider.System.GetTimestamp();

    public void Dispose() => Directory.Delete(_scratch, recursive: true);

    [Fact]
    public async Task Volume_OverwrittenFiveTimesAndHalfTrimmed_GivesItsSpaceBackAndIsClean()
    {
        var sizeBytes = long.Parse(Environment.GetEnvironmentVariable("SPACE_MIB") ?? "2048", CultureInfo.InvariantCulture) << 20;
        var versions = new int[sizeBytes / BlockBytes];
        await using var store = new FileBlobStore(new FileStoreOptions { Path = Directory.CreateDirectory(Path.Combine(_scratch, "bucket")).FullName });
        await new VolumeCatalog(store, TimeProvider.System).CreateAsync("space", new VolumeSpec(sizeBytes, BlockBytes), default);
        long live;
        await using (var volume = await OpenAsync(store, "journal"))
        {
            await WriteEachAsync(volume, versions, (worker, _) => Enumerable.Range(0, versions.Length / Workers).Select(i => (i * Workers) + worker));
            Say("filled", sizeBytes);
            await WriteEachAsync(volume, versions, (_, random) => Enumerable.Range(0, Overwrites * versions.Length / Workers).Select(_ => random.Next(versions.Length / Workers)), isShard: true);
            Say($"overwritten {Overwrites} times", sizeBytes);
            await TrimHalfAsync(volume, versions);
            await volume.DrainAsync(default);
            live = versions.LongCount(v => v > 0) * BlockBytes;
            Say("half of it trimmed", live);
            // Cleaning goes on by itself; it is at rest when the bucket stays small.
            var since = TimeProvider.System.GetTimestamp();
            while (BucketBytes > BucketPerLiveMax * live && TimeProvider.System.GetElapsedTime(since) < CleaningMax) await Task.Delay(PollInterval, TimeProvider.System);
            Say("cleaned", live);
        }

        Say("closed", live);
        Assert.InRange(BucketBytes, live, (long)(BucketPerLiveMax * live));
        var report = await new VolumeChecker(store, "space").RunAsync(default);
        Assert.Empty(report.Findings.Where(f => f.Severity != CheckSeverity.Note).Select(f => $"{f.Blob}: {f.Message}"));
        Assert.Empty(report.Damaged);
        Assert.Equal(live, report.MappedBytes);
        await using var again = await OpenAsync(store, "another-journal");
        await ReadAllAsync(again, versions);
        Say("checked, and read from the bucket alone", live);
    }

    private long BucketBytes => new DirectoryInfo(Path.Combine(_scratch, "bucket")).EnumerateFiles("*", new EnumerationOptions { RecurseSubdirectories = true }).Sum(LengthOf);

    /// <summary>A file may be gone since it was listed.</summary>
    private static long LengthOf(FileInfo file)
    {
        try
        {
            return file.Length;
        }
        catch (FileNotFoundException)
        {
            return 0;
        }
    }

    private async Task<Volume> OpenAsync(FileBlobStore store, string journal)
    {
        var options = new VolumeOptions { CloseTimeout = TimeSpan.FromMinutes(1), RemoveAfter = TimeSpan.FromSeconds(10), CleanBytesPerSecond = 400 << 20 };
        var journals = new JournalOptions { Directory = Directory.CreateDirectory(Path.Combine(_scratch, journal)).FullName };
        return await new VolumeOpener(store, options, journals, "space test", TimeProvider.System, new Random(1), NullLogger.Instance).OpenAsync("space", default);
    }

    /// <summary>Each worker writes blocks of its own (those whose number has its remainder), so that the order of writes to a block is known.</summary>
    private static Task WriteEachAsync(Volume volume, int[] versions, Func<int, Random, IEnumerable<int>> blocksOf, bool isShard = false) =>
        Task.WhenAll(Enumerable.Range(0, Workers).Select(worker => Task.Run(async () =>
        {
            using var buffer = new NativeBuffer(BlockBytes);
            var list = new ScatterList();
            list.Add(buffer);
            foreach (var chosen in blocksOf(worker, new Random(worker)))
            {
                var block = isShard ? (chosen * Workers) + worker : chosen;
                Fill(buffer.Span, block, ++versions[block]);
                Assert.Equal(BlockResult.Success, await volume.WriteAsync(new BlockRange((ulong)block, 1), list, false, default));
            }
        })));

    private static async Task TrimHalfAsync(Volume volume, int[] versions)
    {
        var extents = Enumerable.Range(0, versions.Length / TrimBlocks).ToArray();
        new Random(99).Shuffle(extents);
        foreach (var extent in extents.AsSpan(0, extents.Length / 2).ToArray())
        {
            Assert.Equal(BlockResult.Success, await volume.ZeroAsync(new BlockRange((ulong)extent * TrimBlocks, TrimBlocks), false, default));
            versions.AsSpan(extent * TrimBlocks, TrimBlocks).Clear();
        }
    }

    private static async Task ReadAllAsync(Volume volume, int[] versions)
    {
        using var buffer = new NativeBuffer(TrimBlocks * BlockBytes);
        var list = new ScatterList();
        list.Add(buffer);
        var expected = new byte[BlockBytes];
        for (var first = 0; first < versions.Length; first += TrimBlocks)
        {
            Assert.Equal(BlockResult.Success, await volume.ReadAsync(new BlockRange((ulong)first, TrimBlocks), list, default));
            for (var i = 0; i < TrimBlocks; i++)
            {
                Fill(expected, first + i, versions[first + i]);
                if (!buffer.Span.Slice(i * BlockBytes, BlockBytes).SequenceEqual(expected)) Assert.Fail($"Block {first + i} is not what was written last (version {versions[first + i]}).");
            }
        }
    }

    /// <summary>What version <paramref name="version"/> of a block holds: zeroes for 0, else data that does not compress (xorshift).</summary>
    private static void Fill(Span<byte> block, int number, int version)
    {
        block.Clear();
        if (version == 0) return;
        var x = ((ulong)number << 32) ^ (ulong)version ^ 0x9E3779B97F4A7C15;
        foreach (ref var word in MemoryMarshal.Cast<byte, ulong>(block))
        {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            word = x;
        }
    }

    private void Say(string what, long liveBytes) => output.WriteLine(string.Create(
        CultureInfo.InvariantCulture, $"{TimeProvider.System.GetElapsedTime(_started).TotalSeconds,6:0.0} s  {what}: {BucketBytes >> 20} MiB in the bucket, {liveBytes >> 20} MiB live ({BucketBytes / (double)liveBytes:0.000})"));
}
