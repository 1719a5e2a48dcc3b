using System.Globalization;
using Amazon.Runtime;
using Amazon.S3;
using Gateway.Tests.Live;
using Gateway.Tests.Shared.Stores;
using Microsoft.Playwright;
using Xunit;

namespace Gateway.Page.Tests;

/// <summary>A gateway under load whose store, a real Ceph RGW, is killed and comes back: what the page shows of it. Its pictures are those of the documentation.</summary>
[Trait("Category", "Server")]
public sealed class OutageTests(Browser browser) : IClassFixture<Browser>, IAsyncLifetime
{
    private const string Bucket = "disks";
    private const int Width = 1180;
    private const int Height = 1160;
    private const int PhoneWidth = 390;
    private const int PhoneHeight = 1500;

    /// <summary>Seconds of load before each picture; 'make screenshots' asks for more than a test needs.</summary>
    private static readonly TimeSpan LoadTime = TimeSpan.FromSeconds(int.Parse(Environment.GetEnvironmentVariable("PAGE_LOAD_SECONDS") ?? "5", CultureInfo.InvariantCulture));

    private readonly LiveGateway _gateway = new() { JournalBytes = 256 << 20 };

    public Task InitializeAsync() => Task.CompletedTask;

    public async Task DisposeAsync() => await _gateway.DisposeAsync();

    [SkippableFact]
    public async Task Page_StoreKilledAndStartedAgain_ShowsDegradedAndThenHealthy()
    {
        Skip.If(Browser.SkipReason is not null, Browser.SkipReason);
        Skip.If(RgwServer.SkipReason is not null, RgwServer.SkipReason);
        var rgw = await RgwServer.StartAsync("--store", "memstore");
        try
        {
            await StartAsync(rgw);
            await using var view = await browser.OpenAsync(_gateway.Address, Width, Height);
            await view.UntilHealthAsync("healthy");
            await view.UntilAsync(async () => (await view.ChartAsync("Commands")).Value is not ("–" or "0/s"), "there is load");
            await view.Page.WaitForTimeoutAsync((float)LoadTime.TotalMilliseconds);
            await view.UntilHealthAsync("healthy");
            await ShootAsync(view, "page-load");
            await view.Page.Locator("#theme").SelectOptionAsync("dark");
            await ShootAsync(view, "page-load-dark");
            await view.Page.Locator("#theme").SelectOptionAsync("light");

            await rgw.ControlAsync("rgw-kill");
            await view.UntilHealthAsync("degraded");
            await Assertions.Expect(view.Page.Locator("#notice")).ToContainTextAsync("store cloud:");
            await Assertions.Expect(view.Volume("cloud/database")).ToContainTextAsync("open");
            await Assertions.Expect(view.Volume("local/scratch")).ToContainTextAsync("closed"); // The other store is as it was.
            await view.Page.WaitForTimeoutAsync((float)(LoadTime / 3).TotalMilliseconds);
            await ShootAsync(view, "page-outage");
            await view.Page.SetViewportSizeAsync(PhoneWidth, PhoneHeight);
            await ShootAsync(view, "page-outage-phone");

            await rgw.ControlAsync("rgw-start");
            await view.UntilHealthAsync("healthy");
        }
        finally
        {
            await _gateway.DisposeAsync();
            rgw.Stop();
        }
    }

    private async Task StartAsync(RgwServer rgw)
    {
        using (var client = new AmazonS3Client(new BasicAWSCredentials(rgw.AccessKeyId, rgw.SecretAccessKey), new AmazonS3Config { ServiceURL = rgw.Endpoint.ToString(), ForcePathStyle = true, AuthenticationRegion = "us-east-1" }))
            await client.PutBucketAsync(Bucket);
        _gateway.Stores = $"\"cloud\": {{ \"type\": \"s3\", \"endpoint\": \"{rgw.Endpoint.GetLeftPart(UriPartial.Authority)}\", \"bucket\": \"{Bucket}\", \"accessKeyId\": \"{rgw.AccessKeyId}\", \"secretAccessKeyFile\": \"{rgw.SecretFile}\" }}";
        _gateway.Sections = "\"volumes\": { \"cacheBytes\": 8388608, \"segmentBytes\": 1048576, \"sealAfterSeconds\": 1 }";
        var seed = 0;
        foreach (var (volume, reads, writes, blocks, span) in ((string, int, int, int, int)[])[("cloud/database", 160, 60, 1, 1800), ("cloud/mail", 40, 12, 4, 3000), ("local/scratch", 60, 30, 2, 1000)])
        {
            await _gateway.CreateVolumeAsync(volume, 10L << 30);
            _gateway.Use(_gateway.AddDevice(volume, volume.Replace('/', '-')), ++seed).Load(reads, writes, blocks, span);
        }

        await _gateway.StartAsync();
        await _gateway.LoggedAsync(800);
    }

    /// <summary>Writes a picture of what is seen beside the build's other products; the documentation has copies.</summary>
    private static async Task ShootAsync(ViewedPage view, string name)
    {
        await view.Page.Mouse.MoveAsync(0, 0);
        await view.Page.ScreenshotAsync(new PageScreenshotOptions { Path = Path.Combine(Folder(), name + ".png"), Animations = ScreenshotAnimations.Disabled });
    }

    /// <summary>artifacts/screenshots: this assembly is below artifacts/bin.</summary>
    private static string Folder()
    {
        var folder = AppContext.BaseDirectory;
        while (Path.GetFileName(folder) != "bin") folder = Path.GetDirectoryName(folder) ?? throw new DirectoryNotFoundException($"{AppContext.BaseDirectory} is not below artifacts/bin.");
        return Directory.CreateDirectory(Path.Combine(Path.GetDirectoryName(folder)!, "screenshots")).FullName;
    }
}
