using Gateway.Backends.Resilience;
using Gateway.Configuration;
using Gateway.Serving;
using Microsoft.Extensions.Logging;
using Xunit;

namespace Gateway.Tests;

/// <summary>A configuration file that changes while it is in use: what holds at once, what waits for a restart, and what is refused as a whole.</summary>
public sealed class ConfigurationReloadTests : IDisposable, ILogger
{
    private const string Store = """ "type": "file", "path": "/srv/s" """;
    private readonly string _path = Path.GetTempFileName();
    private readonly List<(int Id, string Text)> _log = [];

    [Fact]
    public void Read_ResilienceAndLongOutagesChanged_HoldsAndSaysSo()
    {
        var present = Load($$"""{ "stores": { "s": { {{Store}} } }, "volumes": { "each": { "s/old": { "onLongOutage": "fail" } } } }""");
        Write($$"""{ "stores": { "s": { {{Store}}, "resilience": { "retries": 7 } } }, "volumes": { "onLongOutage": "readOnly", "longOutageSeconds": 30, "each": { "s/new": { "onLongOutage": "fail" } } } }""");

        var next = ConfigurationReload.Read(_path, present, this, out _);

        Assert.Equal(7, next.Stores["s"].Resilience.Retries);
        Assert.Equal(new OutageOptions(LongOutagePolicy.ReadOnly, TimeSpan.FromSeconds(30)), next.ToOutageOptions(new("s", "old")));
        Assert.Equal(new OutageOptions(LongOutagePolicy.Fail, TimeSpan.FromSeconds(30)), next.ToOutageOptions(new("s", "new")));
        Assert.Equal([114], _log.Select(l => l.Id));
    }

    [Fact]
    public void Read_SettingsThatNeedARestart_AreNamedAndLeftAlone()
    {
        var present = Load($$"""{ "stores": { "s": { {{Store}} }, "gone": { {{Store}} } } }""");
        Write("""
            {
              "stores": { "s": { "type": "file", "path": "/srv/other", "resilience": { "retries": 7 } }, "more": { "type": "file", "path": "/srv/more" } },
              "journal": { "directory": "/other" }, "volumes": { "uploadWindow": 3, "each": { "s/v": { "leaseSeconds": 0 } } }
            }
            """);

        var next = ConfigurationReload.Read(_path, present, this, out _);

        Assert.Equal(("/srv/s", 7), (next.Stores["s"].Path, next.Stores["s"].Resilience.Retries));
        Assert.Equal(8, next.Volumes.UploadWindow);
        Assert.Equal(["gone", "more", "s"], next.Stores.Keys.Order());
        Assert.Equal(present.ToVolumeOptions(new VolumePath("s", "v")).LeaseLength, next.ToVolumeOptions(new VolumePath("s", "v")).LeaseLength);
        var (id, text) = Assert.Single(_log);
        Assert.Equal(115, id);
        foreach (var name in (string[])["stores.s,", "stores.gone,", "journal,", "volumes,", "volumes.each.s/v."]) Assert.Contains(name, text, StringComparison.Ordinal);
        Assert.DoesNotContain("stores.more", text, StringComparison.Ordinal); // Nobody has used it yet.
    }

    [Theory]
    [InlineData("""{ "stores": { "s": { "type": "file", "path": "/srv/s", "resilience": { "retries": 21 } } }, "volumes": { "onLongOutage": "fail" } }""", "stores.s.resilience.retries: must be")]
    [InlineData("{", "is no valid JSON in line 1")]
    [InlineData(null, "There is no configuration file")]
    public void Read_FileIsWrong_NothingHoldsAndTheFaultIsLogged(string? text, string fault)
    {
        var present = Load($$"""{ "stores": { "s": { {{Store}} } } }""");
        if (text is null) File.Delete(_path);
        else Write(text);

        Assert.Throws<ConfigurationException>(() => ConfigurationReload.Read(_path, present, this, out _));

        var (id, message) = Assert.Single(_log);
        Assert.Equal(116, id);
        Assert.Contains(fault, message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task StoreSet_Changed_StoresInUseAndLaterOnesGoByIt()
    {
        var present = Load($$"""{ "stores": { "used": { {{Store}} }, "later": { {{Store}} } } }""");
        await using var stores = new StoreSet(present, TimeProvider.System);
        var used = stores.GetResilient("used");
        Write($$"""{ "stores": { "used": { {{Store}}, "resilience": { "refusedGraceSeconds": 5 } }, "later": { {{Store}}, "resilience": { "refusedGraceSeconds": 6 } } } }""");

        stores.Change(ConfigurationReload.Read(_path, present, this, out _));

        Assert.Same(used, stores.GetResilient("used"));
        Assert.Equal((5, 6), (used.RefusedGrace.TotalSeconds, stores.GetResilient("later").RefusedGrace.TotalSeconds));
    }

    [Fact]
    public async Task Watch_PolicyChangedInALongOutage_TheNextCommandGoesByIt()
    {
        await using var world = new OutageWorld(LongOutagePolicy.Retry);
        await world.BeginAsync();
        world.Time.Advance(OutageWorld.Long);
        Assert.Equal(Scsi.BlockError.None, await world.WriteAsync());

        world.Watch.Change(new OutageOptions(LongOutagePolicy.Fail, OutageWorld.Long));
        Assert.Equal(Scsi.BlockError.PathUnavailable, await world.WriteAsync());
        world.Watch.Change(new OutageOptions(LongOutagePolicy.Retry, OutageWorld.Long));
        Assert.Equal(Scsi.BlockError.None, await world.WriteAsync());
        world.Watch.Change(new OutageOptions(LongOutagePolicy.Fail, OutageWorld.Long));
        world.Failure = null;
        world.Time.Advance(TimeSpan.FromSeconds(1));

        Assert.Equal(Scsi.BlockError.None, await world.WriteAsync()); // The looks go on.
    }

    public void Dispose() => File.Delete(_path);

    public IDisposable? BeginScope<TState>(TState state)
        where TState : notnull => null;

    public bool IsEnabled(LogLevel logLevel) => true;

    void ILogger.Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) => _log.Add((eventId.Id, formatter(state, exception)));

    private void Write(string text) => File.WriteAllText(_path, text);

    private GatewayConfiguration Load(string text)
    {
        Write(text);
        return GatewayConfiguration.Load(_path);
    }
}
