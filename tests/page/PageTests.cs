using Deque.AxeCore.Playwright;
using Gateway.Tests.Live;
using Microsoft.Playwright;
using Xunit;

namespace Gateway.Page.Tests;

/// <summary>The page of a whole daemon in a real browser.</summary>
[Trait("Category", "Server")]
public sealed class PageTests(Browser browser) : IClassFixture<Browser>, IAsyncLifetime
{
    private readonly LiveGateway _gateway = new();

    public Task InitializeAsync() => Task.CompletedTask;

    public async Task DisposeAsync() => await _gateway.DisposeAsync();

    [SkippableFact]
    public async Task Page_VolumesUnderLoad_ShowsThemAndChartsThatMove()
    {
        var ring = await StartAsync("local/db", "local/mail");
        await using var view = await browser.OpenAsync(_gateway.Address);
        _gateway.Use(ring).Load(100, 100);

        await view.UntilHealthAsync("healthy");
        await Assertions.Expect(view.Volume("local/db")).ToContainTextAsync("serving");
        await Assertions.Expect(view.Volume("local/mail")).ToContainTextAsync("closed");
        await view.UntilAsync(async () => await view.ChartAsync("Commands") is { Path.Length: > 40, Value: not ("–" or "0/s") }, "the chart has a line");
        foreach (var title in (string[])["Commands", "Throughput", "Read latency", "Write latency", "Not in the store yet", "Cache hits"])
        {
            var (before, _) = await view.ChartAsync(title);
            await view.UntilAsync(async () => (await view.ChartAsync(title)).Path != before, $"chart '{title}' moves");
        }

        Assert.All(view.Requests, r => Assert.StartsWith(_gateway.Address.ToString(), r, StringComparison.Ordinal));
        Assert.Empty(view.Errors);
    }

    [SkippableFact]
    public async Task Volume_ChosenByKeyboard_HasTheChartsToItself()
    {
        var ring = await StartAsync("local/db", "local/mail");
        await using var view = await browser.OpenAsync(_gateway.Address);
        _gateway.Use(ring).Load(50, 0);
        await view.UntilAsync(async () => (await view.ChartAsync("Commands")).Value is not ("–" or "0/s"), "there is load");

        await view.Page.Locator("button.volume", new PageLocatorOptions { HasText = "local/mail" }).FocusAsync();
        await view.Page.Keyboard.PressAsync("Enter");

        await view.UntilAsync(async () => (await view.ChartAsync("Commands")).Value == "0/s", "the charts are of the idle volume");
        Assert.Equal("local/mail", await view.Page.Locator("#shown option:checked").InnerTextAsync());
        Assert.Equal("true", await view.Page.Locator("button.volume", new PageLocatorOptions { HasText = "local/mail" }).GetAttributeAsync("aria-pressed"));
        await view.Page.Locator("#shown").SelectOptionAsync(new SelectOptionValue { Label = "all volumes" });
        await view.UntilAsync(async () => (await view.ChartAsync("Commands")).Value is not ("–" or "0/s"), "the charts are of all again");
    }

    [SkippableFact]
    public async Task Gateway_StopsAndComesBack_PageSaysSoBothTimes()
    {
        await StartAsync("local/db");
        await using var view = await browser.OpenAsync(_gateway.Address);
        await view.UntilHealthAsync("healthy");

        await _gateway.StopAsync();

        await view.UntilHealthAsync("no answer");
        await Assertions.Expect(view.Page.Locator("#notice")).ToContainTextAsync("The gateway does not answer since");
        await Assertions.Expect(view.Volume("local/db")).ToBeVisibleAsync(); // As it was.
        await _gateway.StartAsync();
        await view.UntilHealthAsync("healthy");
        await Assertions.Expect(view.Page.Locator("#notice")).ToBeHiddenAsync();
    }

    [SkippableFact]
    public async Task Gateway_WithoutVolumes_SaysHowToExportOne()
    {
        await StartAsync();
        await using var view = await browser.OpenAsync(_gateway.Address);

        await Assertions.Expect(view.Page.Locator("#no-volumes")).ToContainTextAsync("tcmu-gateway target export");
        await view.UntilHealthAsync("healthy");
    }

    /// <summary>Whoever may write dev_config, or answers for a store, chooses names and messages.</summary>
    [SkippableFact]
    public async Task Names_WithMarkup_AreTextAndNothingElse()
    {
        const string hostile = "local/<img src=x onerror=window.hit=1><script>window.hit=1<script>";
        _gateway.AddDevice(hostile, "\"><b id=hit>");
        await StartAsync("local/db");
        await using var view = await browser.OpenAsync(_gateway.Address);

        await Assertions.Expect(view.Volume(hostile)).ToBeVisibleAsync(); // Letter by letter.
        await view.UntilHealthAsync("not ready");
        await Assertions.Expect(view.Page.Locator("#events")).ToContainTextAsync("onerror=window.hit=1");
        Assert.Equal(0, await view.Page.Locator("#hit, [src=x], [onerror]").CountAsync());
        Assert.Null(await view.Page.EvaluateAsync<int?>("window.hit ?? null"));
        await view.Page.Locator("button.volume", new PageLocatorOptions { HasText = "onerror" }).ClickAsync();
        Assert.Equal(hostile, await view.Page.Locator("#shown option:checked").InnerTextAsync());
    }

    [SkippableTheory]
    [InlineData(ColorScheme.Light)]
    [InlineData(ColorScheme.Dark)]
    public async Task Page_InLightAndDark_PassesTheAccessibilityRules(ColorScheme scheme)
    {
        _gateway.AddDevice("local/nowhere");
        var ring = await StartAsync("local/db");
        _gateway.Use(ring).Load(50, 50);
        await using var view = await browser.OpenAsync(_gateway.Address, scheme: scheme);
        await view.UntilHealthAsync("not ready"); // With a notice, reasons, and events of each kind.
        await view.UntilAsync(async () => (await view.ChartAsync("Commands")).Value is not ("–" or "0/s"), "there is load");

        var result = await view.Page.RunAxe();

        Assert.Empty(result.Violations.SelectMany(v => v.Nodes.Select(n => $"{v.Id}: {v.Help}: {n.Html}")));
    }

    [SkippableFact]
    public async Task Theme_ChosenOrTheSystems_IsLightOrDarkAndRemembered()
    {
        await StartAsync("local/db");
        await using var view = await browser.OpenAsync(_gateway.Address, scheme: ColorScheme.Dark);
        var dark = await BrightnessAsync(view);

        await view.Page.Locator("#theme").SelectOptionAsync("light");
        var light = await BrightnessAsync(view);
        await view.Page.ReloadAsync();
        var reloaded = await BrightnessAsync(view);
        await view.Page.Locator("#theme").SelectOptionAsync("auto");

        Assert.InRange(dark, 0, 60);
        Assert.InRange(light, 200, 255);
        Assert.Equal(light, reloaded);
        Assert.Equal(dark, await BrightnessAsync(view));
    }

    [SkippableTheory]
    [InlineData(320)]
    [InlineData(390)]
    [InlineData(800)]
    [InlineData(1100)]
    public async Task Page_OnANarrowScreen_NeedsNoScrollingToTheSide(int width)
    {
        await StartAsync("local/a-volume-with-a-name-as-long-as-people-give-them-if-not-stopped", "local/db");
        await using var view = await browser.OpenAsync(_gateway.Address, width, 740);
        await view.UntilHealthAsync("healthy");

        Assert.Equal(width, await view.Page.EvaluateAsync<int>("document.documentElement.scrollWidth"));
        var cell = await view.Volume("local/db").Locator("td").Last.BoundingBoxAsync();
        Assert.InRange(cell!.X + cell.Width, 1, width);
    }

    /// <summary>Red, green and blue of the background, on average.</summary>
    private static async Task<double> BrightnessAsync(ViewedPage view)
    {
        var color = await view.Page.EvaluateAsync<string>("getComputedStyle(document.body).backgroundColor");
        return color[(color.IndexOf('(', StringComparison.Ordinal) + 1)..^1].Split(',').Average(double.Parse);
    }

    /// <summary>Starts a gateway with these volumes; the ring of the first.</summary>
    private async Task<Tcmu.Simulation.RingSimulator> StartAsync(params string[] volumes)
    {
        Skip.If(Browser.SkipReason is not null, Browser.SkipReason);
        Tcmu.Simulation.RingSimulator? first = null;
        foreach (var volume in volumes)
        {
            await _gateway.CreateVolumeAsync(volume);
            var ring = _gateway.AddDevice(volume);
            first ??= ring;
        }

        await _gateway.StartAsync();
        await _gateway.LoggedAsync(800);
        return first!;
    }
}
