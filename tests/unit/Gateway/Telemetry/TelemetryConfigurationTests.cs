using System.Text;
using Gateway.Backends.Core;
using Gateway.Configuration;
using Gateway.Telemetry;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using OpenTelemetry.Metrics;
using Xunit;

namespace Gateway.Tests.Telemetry;

/// <summary>The settings of telemetry.</summary>
public sealed class TelemetryConfigurationTests
{
    [Fact]
    public void Settings_OutOfRange_AreAllTold()
    {
        var failure = Assert.Throws<ConfigurationException>(() => Parse("""
            { "otlp": { "endpoint": "http://user:secret@collector", "headersFile": "token", "metricsEverySeconds": 0 },
              "traces": { "ratio": 2, "slowMilliseconds": 0 }, "prices": { "putsPerThousand": -1 } }
            """));

        foreach (var setting in (string[])["otlp.endpoint", "otlp.headersFile", "otlp.metricsEverySeconds", "traces.ratio", "traces.slowMilliseconds", "prices.putsPerThousand"])
            Assert.Contains($"telemetry.{setting}:", failure.Message, StringComparison.Ordinal);
        Assert.DoesNotContain("secret@", failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Settings_OfACollector_AreTaken()
    {
        var telemetry = Parse("""{ "otlp": { "endpoint": "https://collector:4318", "protocol": "http" }, "traces": { "ratio": 0.01 } }""");

        Assert.Equal((OtlpProtocol.Http, 0.01, 500), (telemetry.Otlp.Protocol, telemetry.Traces.Ratio, telemetry.Traces.SlowMilliseconds));
    }

    [Theory]
    [InlineData("token", "entry 1")]
    [InlineData("a=b\n=c", "entry 2")]
    public void HeadersFile_ThatIsNone_IsToldWithoutItsContent(string content, string wanted)
    {
        var file = Path.GetTempFileName();
        File.WriteAllText(file, content);
        var builder = Host.CreateEmptyApplicationBuilder(new HostApplicationBuilderSettings { ContentRootPath = AppContext.BaseDirectory, DisableDefaults = true });

        var failure = Assert.Throws<ConfigurationException>(() => builder.AddTelemetry(new TelemetrySection { Otlp = new OtlpSection { HeadersFile = file } }, new Dictionary<string, string>()));

        Assert.Contains(wanted, failure.Message, StringComparison.Ordinal);
        Assert.DoesNotContain(content, failure.Message, StringComparison.Ordinal);
        File.Delete(file);
    }

    [Fact]
    public async Task Start_WhatMetricsWaitForIsNotThere_TheyAreNotMade()
    {
        var volumesAreOpen = new TaskCompletionSource();
        var made = new TaskCompletionSource();
        var builder = Host.CreateEmptyApplicationBuilder(new HostApplicationBuilderSettings { ContentRootPath = AppContext.BaseDirectory, DisableDefaults = true });
        builder.Services.AddSingleton(TimeProvider.System);
        builder.Services.AddSingleton<IMetricSource>(new Nothing());
        builder.AddTelemetry(new TelemetrySection(), new Dictionary<string, string>(), _ => volumesAreOpen.Task);
        builder.Services.ConfigureOpenTelemetryMeterProvider((_, _) => made.TrySetResult());
        using var host = builder.Build();

        await host.StartAsync();

        Assert.False(made.Task.IsCompleted);
        volumesAreOpen.SetResult();
        await made.Task;
        await host.StopAsync();
    }

    [Fact]
    public void Cost_OfCountedRequests_IsByThePriceOfTheirKind()
    {
        var requests = new VolumeRequests();
        requests.Add(StoreOperation.Put, null, 2000);
        requests.Add(StoreOperation.Put, "throttled", 1000);
        requests.Add(StoreOperation.Get, null, 10_000);
        requests.Received(5_000_000_000);
        var prices = new PricesSection { ReadPerGB = 0.09 };

        Assert.Equal(0.015, prices.CostOf(StoreOperation.Put, requests), 6);
        Assert.Equal(0.004 + 0.45, prices.CostOf(StoreOperation.Get, requests), 6);
        Assert.Equal(0, prices.CostOf(StoreOperation.Delete, requests), 6);
    }

    private static TelemetrySection Parse(string telemetry) =>
        ConfigurationReader.Parse(Encoding.UTF8.GetBytes($$"""{ "stores": { "local": { "type": "file", "path": "/srv" } }, "telemetry": {{telemetry}} }"""), "The file", new Dictionary<string, string>()).Telemetry;

    private sealed class Nothing : IMetricSource
    {
        public IEnumerable<MeteredDevice> Devices => [];

        public IEnumerable<MeteredStore> Stores => [];
    }
}
