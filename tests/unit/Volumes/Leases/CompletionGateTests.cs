using Gateway.Backends.Core;
using Gateway.Scsi;
using Gateway.Tests.Shared.Stores;
using Gateway.Volumes.Leases;
using Xunit;

namespace Gateway.Volumes.Tests.Leases;

/// <summary>What is held while the authority is in doubt, and when it goes on.</summary>
public class CompletionGateTests
{
    private static readonly LeaseTerms Terms = new(TimeSpan.FromSeconds(120));
    private static readonly TimeSpan CommandTimeout = TimeSpan.FromSeconds(20);

    [Fact]
    public void Pass_RenewedByALookForASegment_LetsWhatIsHeldGo() => VirtualTime.Run(async time =>
    {
        var authority = new WriterAuthority(Terms, time);
        using var gate = new CompletionGate(authority, new FlushLedger(0, 0), CommandTimeout, time);
        var held = gate.PassAsync(time.GetTimestamp(), default).AsTask();
        authority.Extend(time.GetTimestamp());
        Assert.True(gate.IsHolding);

        Assert.True((await gate.PassAsync(time.GetTimestamp(), default)).IsSuccess);

        Assert.True((await held).IsSuccess);
        Assert.False(gate.IsHolding);
    });

    /// <summary>A read that was slow has little time left, though a command that came later is held already.</summary>
    [Fact]
    public void Pass_OlderThanWhatIsHeld_EndsInItsOwnTime() => VirtualTime.Run(async time =>
    {
        using var gate = new CompletionGate(new WriterAuthority(Terms, time), new FlushLedger(0, 0), CommandTimeout, time);
        var start = time.GetTimestamp();
        await Task.Delay(TimeSpan.FromSeconds(15), time);
        var young = gate.PassAsync(time.GetTimestamp(), default).AsTask();

        var old = await gate.PassAsync(start, default);

        Assert.Equal(BlockError.StoreUnavailable, old.Error);
        Assert.InRange(time.GetElapsedTime(start), CommandTimeout, CommandTimeout + TimeSpan.FromSeconds(1));
        Assert.False(young.IsCompleted);
    });

    /// <summary>The keeper's own looks fail, those made for segments do not: commands are held, and the authority is good.</summary>
    [Fact]
    public void Write_HeldOnesNotYetToldThatTheAuthorityIsRenewed_Goes() => LeaseWorld.Run(async world =>
    {
        var writer = await world.ServingAsync("a");
        writer.Store.Faults = new StoreFaults { Outage = true };
        await world.PassAsync(LeaseWorld.Lease);
        var held = writer.WriteAsync(1);
        writer.Store.Faults = new StoreFaults();
        var isForSegment = false;
        writer.Store.BeforeRequest = (name, subject, _) =>
        {
            if (name == "put" && subject.Contains("/log/", StringComparison.Ordinal)) isForSegment = true;
            if (name != "length" || !subject.Contains("/epochs/", StringComparison.Ordinal)) return default;
            if (!isForSegment) throw new BlobStoreException(BlobErrorKind.Unavailable, "Away (by design of the test).");
            return default;
        };
        var drain = writer.Volume.DrainAsync(default);
        await drain;
        isForSegment = false;

        Assert.True((await writer.WriteAsync(2)).IsSuccess);

        Assert.True((await held).IsSuccess);
        Assert.Equal(VolumeWorld.Tagged(2, 8), await writer.ReadAsync());
        await writer.Volume.DisposeAsync();
    });
}
