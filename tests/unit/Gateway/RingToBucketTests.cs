using System.Buffers.Binary;
using Gateway.Backends.File;
using Gateway.Scsi;
using Gateway.Serving;
using Gateway.Tcmu;
using Gateway.Tcmu.Simulation;
using Gateway.Volumes;
using Gateway.Volumes.Leases;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;

namespace Gateway.Tests;

/// <summary>The whole way of a command without a kernel: simulated ring, SCSI, volume, a real journal file, a real directory as the bucket.</summary>
public sealed class RingToBucketTests : IDisposable
{
    private const int BlockBytes = 4096;
    private const int VolumeBlocks = 4096;
    private const int StallMilliseconds = 30_000;

    private readonly string _folder = Directory.CreateTempSubdirectory("tcmu-gateway-ring-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task Ring_RandomWritesThenJournalLost_BucketHoldsThemAll()
    {
        await using var store = NewStore();
        await new VolumeCatalog(store, TimeProvider.System).CreateAsync("v", new VolumeSpec((long)VolumeBlocks * BlockBytes, BlockBytes), default);
        var model = new byte[VolumeBlocks * BlockBytes];
        await ServeAsync(store, client => client.WriteRandomly(model, commands: 2_000, new Random(5)));
        Directory.Delete(JournalFolder, recursive: true);

        await ServeAsync(store, client => client.AssertReads(model));
    }

    [Fact]
    public async Task Ring_CommandsBeforeTheVolumeIsOpen_WaitForIt()
    {
        await using var store = NewStore();
        await new VolumeCatalog(store, TimeProvider.System).CreateAsync("v", new VolumeSpec((long)VolumeBlocks * BlockBytes, BlockBytes), default);
        var opening = new TaskCompletionSource();
        var target = NewTarget(async (_, cancellation) =>
        {
            await opening.Task;
            return await NewOpener(store).OpenAsync("v", cancellation);
        });
        using var simulator = NewSimulator();
        await using var device = new RingDevice("test", simulator.OpenPort(), target, new RingDeviceOptions(), null, TimeProvider.System, NullLogger.Instance);
        await device.StartAsync(default);
        target.OpenInBackground();
        var client = new Client(simulator);
        client.Submit(Client.Cdb(0x28, 0, 1), DataDirection.FromDevice, BlockBytes, []);

        Assert.False(simulator.WaitForKick(50));
        opening.SetResult();

        client.Finish();
        Assert.Equal([ScsiStatus.Good], client.Statuses);
        await device.StopAsync(default);
        await target.DisposeAsync();
    }

    [Fact]
    public async Task Ring_VolumeThatCannotBeOpened_AnswersNotReadyAtOnce()
    {
        await using var store = NewStore();
        var target = NewTarget((_, cancellation) => NewOpener(store).OpenAsync("nowhere", cancellation));
        using var simulator = NewSimulator();
        await using var device = new RingDevice("test", simulator.OpenPort(), target, new RingDeviceOptions(), null, TimeProvider.System, NullLogger.Instance);
        await device.StartAsync(default);
        target.OpenInBackground();
        var client = new Client(simulator);

        do
        {
            client.Statuses.Clear();
            client.Submit(Client.Cdb(0x00, 0, 0), DataDirection.None, 0, []);
            client.Finish();
        }
        while (client.LastSense is not (SenseKey.NotReady, 0x04, 0x03));

        Assert.Equal([ScsiStatus.CheckCondition], client.Statuses);
        await device.StopAsync(default);
        await target.DisposeAsync();
    }

    /// <summary>A path in standby: initiators find the disk, and are told that another gateway serves it.</summary>
    [Fact]
    public async Task Ring_AnotherGatewayServesTheVolume_DescribesItselfAndIsNotReady()
    {
        await using var store = NewStore();
        await new VolumeCatalog(store, TimeProvider.System).CreateAsync("v", new VolumeSpec((long)VolumeBlocks * BlockBytes, BlockBytes), default);
        await using var owner = await NewOpener(store).OpenAsync("v", default);
        var other = new JournalOptions { Directory = Path.Combine(_folder, "journal-2"), CapacityBytes = JournalOptions.CapacityMinBytes };
        var target = NewTarget((waits, cancellation) => new VolumeOpener(store, new VolumeOptions(), other, "standby", TimeProvider.System, new Random(2), NullLogger.Instance) { Waits = waits }.OpenAsync("v", cancellation));
        await target.OpenAsync(default);
        using var simulator = NewSimulator();
        await using var device = new RingDevice("test", simulator.OpenPort(), target, new RingDeviceOptions(), null, TimeProvider.System, NullLogger.Instance);
        await device.StartAsync(default);
        var client = new Client(simulator);

        client.Submit([0x12, 0, 0, 0, 96, 0], DataDirection.FromDevice, 96, []); // INQUIRY
        client.Finish();
        Assert.Equal(ScsiStatus.Good, Assert.Single(client.Statuses));
        client.Submit(Client.Cdb(0x28, 0, 1), DataDirection.FromDevice, BlockBytes, []);
        client.Finish();

        Assert.Equal(ScsiStatus.CheckCondition, client.Statuses[^1]);
        Assert.Contains(client.LastSense, new[] { (SenseKey.NotReady, (byte)0x04, (byte)0x01), (SenseKey.NotReady, (byte)0x04, (byte)0x0B) });
        await device.StopAsync(default);
        await target.DisposeAsync();
    }

    private string JournalFolder => Path.Combine(_folder, "journal");

    private static RingSimulator NewSimulator() => new(new RingSimulatorOptions { RingLengthBytes = (16 << 10) - 128, DataBlocks = 512, OddIovecs = true, Seed = 3 });

    private FileBlobStore NewStore() => new(new FileStoreOptions { Path = Directory.CreateDirectory(Path.Combine(_folder, "bucket")).FullName });

    private VolumeOpener NewOpener(FileBlobStore store) => new(
        store, new VolumeOptions { SegmentBytes = 256 << 10 }, new JournalOptions { Directory = JournalFolder, CapacityBytes = JournalOptions.CapacityMinBytes },
        "test", TimeProvider.System, new Random(1), NullLogger.Instance);

    private VolumeTarget NewTarget(Func<Action<OpeningWait>, CancellationToken, Task<Volume>> open)
    {
        var name = TcmuDeviceName.Parse("tcm-user/0/dev/gateway/local/v");
        return new VolumeTarget(name, open, new TcmuBackstore(new KernelFiles(), _folder, name), new VolumeOptions(), TimeProvider.System, NullLogger.Instance);
    }

    private async Task ServeAsync(FileBlobStore store, Action<Client> use)
    {
        var target = NewTarget((_, cancellation) => NewOpener(store).OpenAsync("v", cancellation));
        await target.OpenAsync(default);
        using var simulator = NewSimulator();
        await using (var device = new RingDevice("test", simulator.OpenPort(), target, new RingDeviceOptions(), null, TimeProvider.System, NullLogger.Instance))
        {
            await device.StartAsync(default);
            use(new Client(simulator));
            await device.StopAsync(default);
        }

        await target.DisposeAsync();
        Assert.Empty(simulator.Violations);
    }

    /// <summary>An initiator: keeps the ring busy and looks at every answer.</summary>
    private sealed class Client(RingSimulator simulator) : ICompletionSink
    {
        private readonly Dictionary<long, (int Offset, int Length)> _reads = [];
        private byte[] _model = [];
        private long _tag;

        public List<ScsiStatus> Statuses { get; } = [];

        public (SenseKey Key, byte Asc, byte Ascq) LastSense { get; private set; }

        /// <summary>A 10-byte CDB of READ, WRITE or TEST UNIT READY (cut to 6).</summary>
        public static byte[] Cdb(byte operationCode, uint lba, ushort blocks)
        {
            var cdb = new byte[operationCode < 0x20 ? 6 : 10];
            cdb[0] = operationCode;
            if (cdb.Length == 6) return cdb;
            BinaryPrimitives.WriteUInt32BigEndian(cdb.AsSpan(2), lba);
            BinaryPrimitives.WriteUInt16BigEndian(cdb.AsSpan(7), blocks);
            return cdb;
        }

        public void WriteRandomly(byte[] model, int commands, Random random)
        {
            for (var i = 0; i < commands; i++)
            {
                var blocks = random.Next(1, 9);
                var lba = random.Next(VolumeBlocks - blocks);
                var data = model.AsSpan(lba * BlockBytes, blocks * BlockBytes);
                random.NextBytes(data);
                Submit(Cdb(0x2A, (uint)lba, (ushort)blocks), DataDirection.ToDevice, data.Length, data);
                if (i % 100 == 0) Submit(Cdb(0x35, 0, 0), DataDirection.None, 0, []); // SYNCHRONIZE CACHE (10)
                Finish(); // One at a time: overlapping writes in flight have no order.
            }

            Assert.All(Statuses, s => Assert.Equal(ScsiStatus.Good, s));
        }

        public void AssertReads(byte[] model)
        {
            _model = model;
            for (var lba = 0; lba < VolumeBlocks; lba += 8)
            {
                _reads.Add(_tag + 1, (lba * BlockBytes, 8 * BlockBytes));
                Submit(Cdb(0x28, (uint)lba, 8), DataDirection.FromDevice, 8 * BlockBytes, []);
            }

            Finish();
            Assert.Empty(_reads);
        }

        public void Submit(byte[] cdb, DataDirection direction, int lengthBytes, ReadOnlySpan<byte> data)
        {
            _tag++;
            while (!simulator.TrySubmit(cdb, direction, lengthBytes, data, _tag)) Reap();
            simulator.Ring();
        }

        public void Finish()
        {
            while (simulator.InFlight > 0) Reap();
        }

        public void OnCompleted(SimulatedCommand command)
        {
            Statuses.Add(command.Status);
            if (command.Status == ScsiStatus.CheckCondition) LastSense = ((SenseKey)command.Sense[2], command.Sense[12], command.Sense[13]);
            if (!_reads.Remove(command.Tag, out var read)) return;
            Assert.Equal(ScsiStatus.Good, command.Status);
            var data = new byte[read.Length];
            command.Data.CopyTo(0, data);
            Assert.True(_model.AsSpan(read.Offset, read.Length).SequenceEqual(data), $"Block {read.Offset / BlockBytes} is not what was written.");
        }

        private void Reap()
        {
            if (simulator.Reap(this) > 0) return;
            Assert.True(simulator.WaitForKick(StallMilliseconds), "The ring stalls.");
            simulator.Reap(this);
        }
    }
}
