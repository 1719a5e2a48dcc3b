using Gateway.Tests.Shared;
using Gateway.Volumes.Formats;
using Gateway.Volumes.Leases;

namespace Gateway.Volumes.Tests.Leases;

/// <summary>A bucket with one volume and gateways that fight for it, on virtual time.</summary>
internal sealed class LeaseWorld
{
    /// <summary>The default lease, and what a successor waits.</summary>
    public static readonly TimeSpan Lease = new VolumeOptions().LeaseLength;
    public static readonly TimeSpan SuccessorWait = Lease * 1.1;

    private LeaseWorld(VirtualTime time) => Time = time;

    public VirtualTime Time { get; }

    public MemoryBlobStore Bucket { get; } = new();

    public Guid VolumeId { get; private set; }

    public IEnumerable<string> Epochs => Bucket.Blobs.Keys.Where(k => k.Contains("/epochs/", StringComparison.Ordinal)).Order(StringComparer.Ordinal);

    public static void Run(Func<LeaseWorld, Task> test) => VirtualTime.Run(async time =>
    {
        var world = new LeaseWorld(time);
        world.VolumeId = (await new VolumeCatalog(world.Bucket, time).CreateAsync(GatewayProcess.VolumeName, new VolumeSpec(1 << 20), default)).Id;
        await test(world);
    });

    public GatewayProcess NewGateway(string name) => new(name, Time, Bucket);

    /// <summary>A gateway that serves the volume.</summary>
    public async Task<GatewayProcess> ServingAsync(string name)
    {
        var gateway = NewGateway(name);
        await gateway.OpenAsync();
        return gateway;
    }

    public Task PassAsync(TimeSpan span) => Task.Delay(span, Time);

    public HeartbeatRecord ReadHeartbeat() => LeaseCodec.DecodeHeartbeat(Bucket.Blobs["vol/heartbeat"], "heartbeat", VolumeId);

    public HandoverRecord ReadHandover() => LeaseCodec.DecodeHandover(Bucket.Blobs["vol/handover"], "handover", VolumeId);

    public ReleaseRecord ReadRelease(long epoch) => LeaseCodec.DecodeRelease(Bucket.Blobs[new VolumeKeys(GatewayProcess.VolumeName).Release(epoch).Value], "release", VolumeId, epoch);
}
