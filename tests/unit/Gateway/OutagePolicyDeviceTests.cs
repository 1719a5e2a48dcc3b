using Gateway.Backends.Resilience;
using Gateway.Configuration;
using Gateway.Scsi;
using Gateway.Serving;
using Gateway.Tests.Shared;
using Gateway.Volumes.Tests;
using Microsoft.Extensions.Logging;
using Xunit;

namespace Gateway.Tests;

/// <summary>What initiators are told when a store has been away for long, by the operator's choice.</summary>
public sealed class OutagePolicyDeviceTests : ILogger
{
    private static readonly BlockRange Nothing = new(0, 0);

    private readonly ManualTime _time = new();
    private readonly MemoryBlockDevice _volume = new(8, 4096);
    private readonly List<string> _log = [];
    private StoreFailure? _failure;

    [Fact]
    public async Task Retry_StoreAwayForADay_NothingChanges()
    {
        await using var device = NewDevice(LongOutageAction.Retry);
        StoreGoes();
        _time.Advance(TimeSpan.FromDays(1));

        Assert.Equal((BlockError.None, BlockError.None, BlockError.None, BlockError.None), await TryAllAsync(device));
        Assert.Empty(_log);
    }

    [Fact]
    public async Task ReadOnly_AfterTheDelay_RefusesWritesAlone()
    {
        await using var device = NewDevice(LongOutageAction.ReadOnly);
        StoreGoes();
        _time.Advance(TimeSpan.FromSeconds(99));
        Assert.Equal((BlockError.None, BlockError.None, BlockError.None, BlockError.None), await TryAllAsync(device));

        _time.Advance(TimeSpan.FromSeconds(2));

        Assert.Equal((BlockError.None, BlockError.WriteProtected, BlockError.WriteProtected, BlockError.None), await TryAllAsync(device));
        Assert.Equal(BlockError.WriteProtected, device.Readiness.Error);
        Assert.Contains("write-protected", Assert.Single(_log), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Fail_AfterTheDelay_AnswersEverythingWithAnUnavailablePath()
    {
        await using var device = NewDevice(LongOutageAction.Fail);
        StoreGoes();
        _time.Advance(TimeSpan.FromSeconds(101));

        Assert.Equal((BlockError.PathUnavailable, BlockError.PathUnavailable, BlockError.PathUnavailable, BlockError.PathUnavailable), await TryAllAsync(device));
        Assert.Equal(BlockError.PathUnavailable, device.Readiness.Error);
        var sense = SenseMapping.ToSense(BlockError.PathUnavailable);
        Assert.Equal((SenseKey.NotReady, (byte)0x04, (byte)0x0C), (sense.Key, sense.Asc, sense.Ascq));
    }

    [Theory]
    [InlineData(LongOutageAction.ReadOnly)]
    [InlineData(LongOutageAction.Fail)]
    public async Task StoreIsBack_EverythingIsAsBefore(object action)
    {
        await using var device = NewDevice((LongOutageAction)action);
        StoreGoes();
        _time.Advance(TimeSpan.FromSeconds(101));
        _failure = null;
        _time.Advance(TimeSpan.FromSeconds(1));

        Assert.Equal((BlockError.None, BlockError.None, BlockError.None, BlockError.None), await TryAllAsync(device));
        Assert.True(device.Readiness.IsSuccess);
        Assert.Equal(2, _log.Count);
    }

    [Fact]
    public async Task ShortRecovery_TheDelayBeginsAnew()
    {
        await using var device = NewDevice(LongOutageAction.ReadOnly);
        StoreGoes();
        _time.Advance(TimeSpan.FromSeconds(95));
        _failure = null;
        _time.Advance(TimeSpan.FromSeconds(1));
        StoreGoes();
        _time.Advance(TimeSpan.FromSeconds(95));

        Assert.Equal(BlockError.None, (await TryAllAsync(device)).Write);
    }

    [Fact]
    public async Task VolumeHasAnErrorOfItsOwn_ThatIsTold()
    {
        await using var device = NewDevice(LongOutageAction.ReadOnly);
        StoreGoes();
        _time.Advance(TimeSpan.FromSeconds(101));
        _volume.Readiness = BlockError.Standby;

        Assert.Equal(BlockError.Standby, device.Readiness.Error);
    }

    [Fact]
    public async Task Refused_ReadsThatMissAskForAPersonAfterTheGrace()
    {
        await using var device = NewDevice(LongOutageAction.Retry);
        _volume.Failure = BlockError.StoreUnavailable;
        _failure = new StoreFailure(_time.GetTimestamp(), IsRefused: true, _time.GetTimestamp());
        _time.Advance(TimeSpan.FromSeconds(29));
        Assert.Equal(BlockError.StoreUnavailable, (await TryAllAsync(device)).Read);

        _time.Advance(TimeSpan.FromSeconds(2));

        Assert.Equal(BlockError.Offline, (await TryAllAsync(device)).Read);
        _volume.Failure = BlockError.Corrupt;
        Assert.Equal(BlockError.Corrupt, (await TryAllAsync(device)).Read);
        _volume.Failure = BlockResult.Success;
        Assert.Equal((BlockError.None, BlockError.None, BlockError.None, BlockError.None), await TryAllAsync(device));
        Assert.Contains("credentials", Assert.Single(_log), StringComparison.Ordinal);
    }

    IDisposable? ILogger.BeginScope<TState>(TState state) => null;

    bool ILogger.IsEnabled(LogLevel logLevel) => true;

    void ILogger.Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) => _log.Add(formatter(state, exception));

    private OutagePolicyDevice NewDevice(LongOutageAction action) =>
        new(_volume, () => _failure, new OutagePolicy(action, TimeSpan.FromSeconds(100), TimeSpan.FromSeconds(30)), "s/v", _time, this);

    private void StoreGoes() => _failure = new StoreFailure(_time.GetTimestamp(), IsRefused: false, 0);

    private static async Task<(BlockError Read, BlockError Write, BlockError Zero, BlockError Flush)> TryAllAsync(OutagePolicyDevice device) => (
        (await device.ReadAsync(Nothing, new ScatterList(), default)).Error,
        (await device.WriteAsync(Nothing, new ScatterList(), false, default)).Error,
        (await device.ZeroAsync(Nothing, false, default)).Error,
        (await device.FlushAsync(default)).Error);
}
