using System.Buffers.Binary;
using Gateway.Backends.File;
using Gateway.Scsi;
using Gateway.Serving;
using Gateway.Tcmu;
using Gateway.Tcmu.Simulation;
using Gateway.Volumes;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;

namespace Gateway.Tests;

/// <summary>A volume that grows under its initiators: simulated ring, SCSI, volume, a real journal, a directory as the bucket, and a configfs that waits for our reply as the kernel does.</summary>
public sealed class VolumeResizeTests : IDisposable
{
    private const int BlockBytes = 4096;
    private const int Blocks = 4096;
    private const int MoreBlocks = 3 * Blocks;
    private const int StallMilliseconds = 30_000;

    private readonly string _folder = Directory.CreateTempSubdirectory("tcmu-gateway-resize-").FullName;
    private readonly TcmuDeviceName _device = TcmuDeviceName.Parse("tcm-user/0/dev/gateway/local/v");

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task Resize_UnderLoad_InitiatorsAreToldOnceAndEveryBlockIsWhatWasWritten()
    {
        await using var store = await CreateAsync();
        var kernel = new WaitingKernel(_folder, _device, (long)Blocks * BlockBytes);
        var target = NewTarget(store, kernel);
        await target.OpenAsync(default);
        kernel.Reconfigured = size => target.FollowSizeAsync(size, default);
        using var simulator = new RingSimulator(new RingSimulatorOptions { RingLengthBytes = (16 << 10) - 128, DataBlocks = 512, OddIovecs = true, Seed = 3 });
        var model = new byte[MoreBlocks * BlockBytes];
        var random = new Random(4);
        await using (var device = new RingDevice("test", simulator.OpenPort(), target, new RingDeviceOptions(), null, TimeProvider.System, NullLogger.Instance))
        {
            await device.StartAsync(default);
            var client = new Client(simulator);
            client.Write(Blocks, 1, new byte[BlockBytes]);
            Assert.Equal((SenseKey.IllegalRequest, 0x21, 0x00), client.TakeSense());
            Assert.Equal(Blocks - 1UL, client.ReadLastLba());

            var resize = target.ResizeAsync((long)MoreBlocks * BlockBytes, default);
            for (var i = 0; i < 500; i++) WriteRandomly(client, model, Blocks, random);
            await resize;
            client.Drain();
            var during = client.TakeSenses();
            client.TestUnitReady();
            client.TestUnitReady();
            during.AddRange(client.TakeSenses());

            Assert.Equal([(SenseKey.UnitAttention, 0x2A, 0x09)], during);
            Assert.Equal(MoreBlocks - 1UL, client.ReadLastLba());
            for (var i = 0; i < 500; i++) WriteRandomly(client, model, MoreBlocks, random);
            client.Repeat(model); // The one that was told of the change was not executed.
            client.AssertReads(model);
            Assert.Empty(client.TakeSenses());
            await device.StopAsync(default);
        }

        await target.DisposeAsync();
        Assert.Empty(simulator.Violations);
        Assert.Equal((long)MoreBlocks * BlockBytes, kernel.DevSize);
        Assert.Equal([(long)MoreBlocks * BlockBytes], kernel.Events);
    }

    /// <summary>'volume resize' in the bucket while the device was away, or a crash before the kernel was told: the device follows.</summary>
    [Fact]
    public async Task Open_VolumeLargerThanItsDevice_TellsTheKernel()
    {
        await using var store = await CreateAsync();
        await new VolumeCatalog(store, TimeProvider.System).ResizeAsync("v", (long)MoreBlocks * BlockBytes, default);
        var kernel = new WaitingKernel(_folder, _device, (long)Blocks * BlockBytes);
        var target = NewTarget(store, kernel);
        var told = new TaskCompletionSource();
        kernel.Reconfigured = async size =>
        {
            await target.FollowSizeAsync(size, default);
            told.SetResult();
        };

        await target.OpenAsync(default);
        await told.Task;
        await target.DisposeAsync();

        Assert.Equal([(long)MoreBlocks * BlockBytes], kernel.Events);
    }

    [Fact]
    public async Task Resize_KernelRefusesThenTakesIt_ASecondRunEndsIt()
    {
        await using var store = await CreateAsync();
        var kernel = new WaitingKernel(_folder, _device, (long)Blocks * BlockBytes);
        var target = NewTarget(store, kernel);
        await target.OpenAsync(default);
        kernel.Reconfigured = _ => Task.FromException(new IOException("refused"));

        await Assert.ThrowsAsync<IOException>(() => target.ResizeAsync((long)MoreBlocks * BlockBytes, default));
        kernel.Reconfigured = size => target.FollowSizeAsync(size, default);
        await target.ResizeAsync((long)MoreBlocks * BlockBytes, default);

        Assert.Equal((long)MoreBlocks * BlockBytes, kernel.DevSize);
        await target.DisposeAsync();
    }

    /// <summary>What a write of dev_size by hand is answered with.</summary>
    [Fact]
    public async Task FollowSize_OfAVolumeThatIsNotOpenOrASmallerSize_IsRefused()
    {
        await using var store = await CreateAsync();
        var target = NewTarget(store, new WaitingKernel(_folder, _device, (long)Blocks * BlockBytes));

        Assert.Equal(VolumeErrorKind.OwnedElsewhere, (await Assert.ThrowsAsync<VolumeException>(() => target.FollowSizeAsync((long)MoreBlocks * BlockBytes, default))).Kind);
        await target.OpenAsync(default);
        Assert.Equal(VolumeErrorKind.InvalidArgument, (await Assert.ThrowsAsync<VolumeException>(() => target.FollowSizeAsync((long)(Blocks - 1) * BlockBytes, default))).Kind);
        await target.FollowSizeAsync((long)Blocks * BlockBytes, default);

        await target.DisposeAsync();
    }

    private async Task<FileBlobStore> CreateAsync()
    {
        var store = new FileBlobStore(new FileStoreOptions { Path = Directory.CreateDirectory(Path.Combine(_folder, "bucket")).FullName });
        await new VolumeCatalog(store, TimeProvider.System).CreateAsync("v", new VolumeSpec((long)Blocks * BlockBytes, BlockBytes), default);
        return store;
    }

    private VolumeTarget NewTarget(FileBlobStore store, WaitingKernel kernel)
    {
        var opener = new VolumeOpener(
            store, new VolumeOptions { SegmentBytes = 256 << 10 }, new JournalOptions { Directory = Path.Combine(_folder, "journal"), CapacityBytes = JournalOptions.CapacityMinBytes },
            "test", TimeProvider.System, new Random(1), NullLogger.Instance);
        return new VolumeTarget(_device, (_, cancellation) => opener.OpenAsync("v", cancellation), new TcmuBackstore(kernel, _folder, _device), new VolumeOptions(), TimeProvider.System, NullLogger.Instance);
    }

    private static void WriteRandomly(Client client, byte[] model, int blocks, Random random)
    {
        var count = random.Next(1, 9);
        var lba = random.Next(blocks - count);
        var data = model.AsSpan(lba * BlockBytes, count * BlockBytes);
        random.NextBytes(data);
        client.Write((uint)lba, (ushort)count, data);
    }

    /// <summary>A configfs whose dev_size ends a write when the daemon has answered the event that it makes of it.</summary>
    private sealed class WaitingKernel : IKernelFiles
    {
        private readonly KernelFiles _files = new();
        private readonly string _devSize;

        public WaitingKernel(string configfs, TcmuDeviceName device, long size)
        {
            _devSize = Path.Combine(configfs, device.ConfigfsPath, "attrib", "dev_size");
            Directory.CreateDirectory(Path.GetDirectoryName(_devSize)!);
            File.WriteAllText(_devSize, $"{size}\n");
        }

        public Func<long, Task> Reconfigured { get; set; } = _ => Task.CompletedTask;

        public List<long> Events { get; } = [];

        public long DevSize => long.Parse(File.ReadAllText(_devSize), System.Globalization.CultureInfo.InvariantCulture);

        public bool Exists(string path) => _files.Exists(path);

        public IReadOnlyList<string> List(string directory) => _files.List(directory);

        public string Read(string path) => _files.Read(path);

        public void Write(string path, string text)
        {
            if (path == _devSize)
            {
                Events.Add(long.Parse(text, System.Globalization.CultureInfo.InvariantCulture));
                Reconfigured(Events[^1]).GetAwaiter().GetResult();
            }

            File.WriteAllText(path, text);
        }
    }

    /// <summary>An initiator that sends one command at a time.</summary>
    private sealed class Client(RingSimulator simulator) : ICompletionSink
    {
        private readonly List<(SenseKey Key, int Asc, int Ascq)> _senses = [];
        private readonly List<(uint Lba, ushort Blocks)> _refused = [];
        private (uint Lba, ushort Blocks) _written;
        private byte[] _data = [];
        private long _tag;

        public void Write(uint lba, ushort blocks, ReadOnlySpan<byte> data)
        {
            _written = (lba, blocks);
            var senses = _senses.Count;
            Run(Cdb(0x2A, lba, blocks), DataDirection.ToDevice, data.Length, data);
            if (_senses.Count > senses) _refused.Add(_written);
        }

        /// <summary>Writes again what ended in sense data, as the model has it now.</summary>
        public void Repeat(byte[] model)
        {
            foreach (var (lba, blocks) in _refused.ToArray())
                if ((lba + blocks) * BlockBytes <= model.Length && lba != Blocks) Write(lba, blocks, model.AsSpan((int)lba * BlockBytes, blocks * BlockBytes));
        }

        public void TestUnitReady() => Run(new byte[6], DataDirection.None, 0, []);

        public ulong ReadLastLba()
        {
            Run([0x9E, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32, 0, 0], DataDirection.FromDevice, 32, []);
            return BinaryPrimitives.ReadUInt64BigEndian(_data);
        }

        public void AssertReads(byte[] model)
        {
            for (var lba = 0; lba < model.Length / BlockBytes; lba += 8)
            {
                Run(Cdb(0x28, (uint)lba, 8), DataDirection.FromDevice, 8 * BlockBytes, []);
                Assert.True(model.AsSpan(lba * BlockBytes, 8 * BlockBytes).SequenceEqual(_data), $"Block {lba} is not what was written.");
            }
        }

        public List<(SenseKey Key, int Asc, int Ascq)> TakeSenses()
        {
            var senses = _senses.ToList();
            _senses.Clear();
            return senses;
        }

        public (SenseKey Key, int Asc, int Ascq) TakeSense() => Assert.Single(TakeSenses());

        public void Drain()
        {
            while (simulator.InFlight > 0) Reap();
        }

        public void OnCompleted(SimulatedCommand command)
        {
            if (command.Status == ScsiStatus.CheckCondition) _senses.Add(((SenseKey)command.Sense[2], command.Sense[12], command.Sense[13]));
            _data = new byte[command.Data.LengthBytes];
            command.Data.CopyTo(0, _data);
        }

        private static byte[] Cdb(byte operationCode, uint lba, ushort blocks)
        {
            var cdb = new byte[10];
            cdb[0] = operationCode;
            BinaryPrimitives.WriteUInt32BigEndian(cdb.AsSpan(2), lba);
            BinaryPrimitives.WriteUInt16BigEndian(cdb.AsSpan(7), blocks);
            return cdb;
        }

        private void Run(byte[] cdb, DataDirection direction, int lengthBytes, ReadOnlySpan<byte> data)
        {
            Assert.True(simulator.TrySubmit(cdb, direction, lengthBytes, data, ++_tag));
            simulator.Ring();
            Drain();
        }

        private void Reap()
        {
            if (simulator.Reap(this) > 0) return;
            Assert.True(simulator.WaitForKick(StallMilliseconds), "The ring stalls.");
            simulator.Reap(this);
        }
    }
}
