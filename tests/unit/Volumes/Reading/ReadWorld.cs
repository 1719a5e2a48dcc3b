using System.Collections.Concurrent;
using Gateway.Backends.Core;
using Gateway.Scsi;
using Gateway.Tests.Shared;

namespace Gateway.Volumes.Tests.Reading;

/// <summary>A request for a range of a segment.</summary>
internal readonly record struct RangeRequest(string Blob, long OffsetBytes, int LengthBytes);

/// <summary>A store that notes the ranges of segments that are read, and can hold, fail or spoil them.</summary>
internal sealed class ReadStore(IBlobStore inner) : DelegatingBlobStore(inner)
{
    private int _inFlight;

    public ConcurrentQueue<RangeRequest> Requests { get; } = new();

    /// <summary>Called before a range is read; the read goes on when it completes.</summary>
    public Func<RangeRequest, Task>? Before { get; set; }

    /// <summary>May change what a read returns.</summary>
    public Action<RangeRequest, Memory<byte>>? After { get; set; }

    public int InFlightMax { get; private set; }

    public override async ValueTask<int> ReadAsync(BlobKey key, long offsetBytes, Memory<byte> destination, CancellationToken cancellationToken)
    {
        if (!key.Value.Contains("/log/", StringComparison.Ordinal)) return await base.ReadAsync(key, offsetBytes, destination, cancellationToken);
        var request = new RangeRequest(key.Value, offsetBytes, destination.Length);
        Requests.Enqueue(request);
        lock (Requests) InFlightMax = Math.Max(InFlightMax, ++_inFlight);
        try
        {
            if (Before is { } before) await before(request);
            var read = await base.ReadAsync(key, offsetBytes, destination, cancellationToken);
            After?.Invoke(request, destination);
            return read;
        }
        finally
        {
            lock (Requests) _inFlight--;
        }
    }
}

/// <summary>A volume whose content is in the bucket alone, opened through a <see cref="ReadStore"/>.</summary>
internal sealed class ReadWorld : IAsyncDisposable
{
    public const int BlockBytes = 4096;

    private ReadWorld()
    {
        World.Options.SegmentBytes = 8 << 20;
        World.Options.SealAfter = TimeSpan.FromHours(1);
        World.Options.CacheBytes = 64 << 20;
        World.Options.ReadAheadBytes = 0;
        World.JournalOptions.CapacityBytes = 64 << 20;
    }

    public VolumeWorld World { get; } = new() { BlockBytes = BlockBytes };

    public ReadStore Store { get; private set; } = null!;

    public byte[] Content { get; private set; } = [];

    /// <summary>A volume of <paramref name="sizeBytes"/>, written from end to end in order, closed and opened again.</summary>
    public static async Task<ReadWorld> WrittenAsync(int sizeBytes, Action<VolumeOptions>? configure = null)
    {
        var world = new ReadWorld { Content = new byte[sizeBytes] };
        new Random(42).NextBytes(world.Content);
        await world.World.CreateAsync(sizeBytes);
        await world.World.OpenAsync();
        for (var at = 0; at < sizeBytes; at += 1 << 20) await world.World.WriteAsync((ulong)(at / BlockBytes), world.Content[at..Math.Min(sizeBytes, at + (1 << 20))]);
        await world.World.CloseAsync();
        configure?.Invoke(world.World.Options);
        await world.ReopenAsync();
        return world;
    }

    /// <summary>Opens the closed volume anew, and waits until its first MiB is pinned: requests counted from then on are a test's own.</summary>
    public async Task ReopenAsync()
    {
        Store = new ReadStore(World.Store);
        await World.OpenAsync(Store);
        await HeadPinnedAsync();
        Store.Requests.Clear();
    }

    public async Task HeadPinnedAsync()
    {
        while (!World.Volume.Reader.IsHeadWhole) await Task.Yield();
    }

    public async Task<bool> ReadsRightAsync(long offsetBytes, int lengthBytes)
    {
        var data = await World.ReadAsync((ulong)(offsetBytes / BlockBytes), lengthBytes / BlockBytes);
        return data.AsSpan().SequenceEqual(Content.AsSpan((int)offsetBytes, lengthBytes));
    }

    public ValueTask DisposeAsync() => World.DisposeAsync();
}
