using System.Collections.Concurrent;
using Gateway.Tests.Shared.Stores;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;

namespace Gateway.Volumes.Tests;

/// <summary>What commands wait for asks one face of the store; uploads, checkpoints and leases ask the other.</summary>
public sealed class VolumeFacesTests
{
    // Beyond what is kept in memory of a volume's beginning.
    private const ulong Lba = 4096;

    [Fact]
    public async Task Volume_StoreWithTwoFaces_AsksEachForItsOwn()
    {
        var world = new VolumeWorld();
        await world.CreateAsync(4 << 20);
        var asked = new ConcurrentQueue<(string Face, string Request, string Key)>();
        var data = new byte[512];
        new Random(2).NextBytes(data);
        var (commands, background) = (Face("commands"), Face("background"));
        var opener = new VolumeOpener(
            commands, world.Options with { CacheBytes = 0, ReadAheadBytes = 0 }, world.JournalOptions, world.Journals, "test", TimeProvider.System, new Random(1), NullLogger.Instance, background: background);
        await using (var volume = await opener.OpenAsync(VolumeWorld.Name, default))
        {
            asked.Clear();
            Assert.Equal(Scsi.BlockResult.Success, await VolumeWorld.WriteAsync(volume, Lba, data));
            await volume.DrainAsync(default);
            Assert.DoesNotContain(asked, a => a is { Face: "commands", Request: "put" or "delete" });
            Assert.Contains(asked, a => a is { Face: "background", Request: "put" } && a.Key.Contains("/log/", StringComparison.Ordinal));
            Assert.Contains(asked, a => a is { Face: "background", Request: "length" }); // Its look that nobody took over.
        }

        await using (var volume = await opener.OpenAsync(VolumeWorld.Name, default))
        {
            asked.Clear();
            using var buffer = new Scsi.Interop.NativeBuffer(512);
            var list = new Scsi.ScatterList();
            list.Add(buffer);
            Assert.Equal(Scsi.BlockResult.Success, await volume.ReadAsync(new Scsi.BlockRange(Lba, 1), list, default));
            Assert.Equal(data, buffer.Span.ToArray());
            Assert.Contains(asked, a => a is { Face: "commands", Request: "read" });
        }

        FaultyBlobStore Face(string name) => new(world.Store, 1, TimeProvider.System)
        {
            BeforeRequest = (request, key, _) =>
            {
                asked.Enqueue((name, request, key));
                return default;
            },
        };
    }
}
