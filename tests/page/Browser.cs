using Gateway.Tests.Live;
using Microsoft.Playwright;
using Xunit;

namespace Gateway.Page.Tests;

/// <summary>The system's Chromium, headless, driven by Playwright. Nothing is downloaded.</summary>
public sealed class Browser : IAsyncLifetime
{
    /// <summary>Set to 1 where the browser must be there, in CI, say: its absence is then a failure instead of a reason to skip.</summary>
    private const string RequireVariable = "REQUIRE_CHROMIUM";

    private static readonly string[] Places = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
    private static readonly string[] Arguments = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-lcd-text"];

    private IPlaywright? _playwright;
    private IBrowser? _browser;

    /// <summary>Null if there is a browser, or must be; else why not.</summary>
    public static string? SkipReason => Environment.GetEnvironmentVariable(RequireVariable) == "1" || Places.Any(File.Exists) ? null : "no Chromium here: apt-get install chromium";

    public async Task InitializeAsync()
    {
        if (SkipReason is not null) return;
        _playwright = await Playwright.CreateAsync();
        _browser = await _playwright.Chromium.LaunchAsync(new BrowserTypeLaunchOptions { ExecutablePath = Places.FirstOrDefault(File.Exists) ?? Places[0], Args = Arguments, Timeout = (float)LiveGateway.Patience.TotalMilliseconds });
    }

    public async Task DisposeAsync()
    {
        if (_browser is not null) await _browser.DisposeAsync();
        _playwright?.Dispose();
    }

    /// <summary>A page of its own, with nothing remembered. Skips the test where there is no browser.</summary>
    internal async Task<ViewedPage> OpenAsync(Uri address, int width = 1360, int height = 900, ColorScheme scheme = ColorScheme.Light, float scale = 1)
    {
        Skip.If(SkipReason is not null, SkipReason);
        var context = await _browser!.NewContextAsync(new BrowserNewContextOptions { ViewportSize = new ViewportSize { Width = width, Height = height }, ColorScheme = scheme, DeviceScaleFactor = scale, Locale = "en-GB", TimezoneId = "UTC", ReducedMotion = ReducedMotion.Reduce });
        context.SetDefaultTimeout((float)LiveGateway.Patience.TotalMilliseconds);
        var page = new ViewedPage(context, await context.NewPageAsync());
        await page.Page.GotoAsync(address.ToString());
        return page;
    }
}

/// <summary>A page, and what it did that it should not have done.</summary>
internal sealed class ViewedPage : IAsyncDisposable
{
    private readonly IBrowserContext _context;

    public ViewedPage(IBrowserContext context, IPage page)
    {
        (_context, Page) = (context, page);
        page.Request += (_, request) => Requests.Add(request.Url);
        page.Console += (_, message) =>
        {
            if (message.Type == "error") Errors.Add(message.Text);
        };
        page.PageError += (_, error) => Errors.Add(error);
    }

    public IPage Page { get; }

    /// <summary>Addresses of everything that was asked for.</summary>
    public List<string> Requests { get; } = [];

    /// <summary>Errors of scripts, and what the browser complained of.</summary>
    public List<string> Errors { get; } = [];

    public ILocator Health => Page.Locator("#health");

    public ILocator Volume(string name) => Page.Locator("#volumes tbody tr", new PageLocatorOptions { HasText = name }).First;

    /// <summary>The shape of a chart's first line, and what its key says.</summary>
    public async Task<(string Path, string Value)> ChartAsync(string title)
    {
        var chart = Page.Locator("figure", new PageLocatorOptions { HasText = title });
        return (await chart.Locator("path.line").First.GetAttributeAsync("d") ?? "", await chart.Locator(".key b").First.InnerTextAsync());
    }

    /// <summary>Looks again, as often as the page refreshes, until it is so.</summary>
    public async Task UntilAsync(Func<Task<bool>> condition, string what)
    {
        using var limit = new CancellationTokenSource(LiveGateway.Patience);
        while (!await condition())
        {
            if (limit.IsCancellationRequested) throw new TimeoutException($"Not within {LiveGateway.Patience}: {what}. The page says: {await Page.Locator("body").InnerTextAsync()}");
            await Task.Delay(TimeSpan.FromMilliseconds(100), TimeProvider.System, CancellationToken.None);
        }
    }

    public Task UntilHealthAsync(string says) => UntilAsync(async () => await Health.InnerTextAsync() == says, $"health is '{says}'");

    public async ValueTask DisposeAsync() => await _context.DisposeAsync();
}
