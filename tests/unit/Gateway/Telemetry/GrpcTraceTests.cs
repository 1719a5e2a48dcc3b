using System.Diagnostics;
using System.Net;
using Gateway.Backends.Core;
using Gateway.Backends.Grpc;
using Gateway.Backends.Grpc.V1;
using Gateway.Backends.Resilience;
using Grpc.Core;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;

namespace Gateway.Tests.Telemetry;

/// <summary>A gRPC store learns of which trace its calls are a part.</summary>
public sealed class GrpcTraceTests : IAsyncLifetime
{
    private readonly ActivityListener _listener = new()
    {
        ShouldListenTo = s => s.Name == CommandTracing.SourceName,
        Sample = (ref ActivityCreationOptions<ActivityContext> _) => ActivitySamplingResult.AllDataAndRecorded,
    };

    private readonly Seen _seen = new();
    private WebApplication _server = null!;
    private ResilientStore _store = null!;

    public async Task InitializeAsync()
    {
        ActivitySource.AddActivityListener(_listener);
        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions { ContentRootPath = AppContext.BaseDirectory });
        builder.Services.AddSingleton(_seen);
        builder.Services.AddGrpc();
        builder.WebHost.UseKestrelCore().ConfigureKestrel(k => k.Listen(IPAddress.Loopback, 0, e => e.Protocols = HttpProtocols.Http2));
        _server = builder.Build();
        _server.MapGrpcService<Service>();
        await _server.StartAsync();
        var address = _server.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.First();
        _store = new ResilientStore(new GrpcBlobStore(new GrpcStoreOptions { Address = address }, TimeProvider.System), new ResilienceOptions { Retries = 0 }, TimeProvider.System, new Random(1), NullLogger.Instance);
    }

    public async Task DisposeAsync()
    {
        await _store.DisposeAsync();
        await _server.DisposeAsync();
        _listener.Dispose();
    }

    [Fact]
    public async Task Read_WithinASampledTrace_CarriesItsContext()
    {
        using var root = CommandTracing.Source.StartActivity("scsi command")!;

        await Assert.ThrowsAsync<BlobStoreException>(async () => await _store.Foreground.ReadAsync(new BlobKey("v/blob"), 0, new byte[16], default));

        var context = ActivityContext.Parse(Assert.Single(_seen.Parents)!, null);
        Assert.Equal(root.TraceId, context.TraceId);
        Assert.NotEqual(root.SpanId, context.SpanId); // The store request's own span stands between.
        Assert.True(context.TraceFlags.HasFlag(ActivityTraceFlags.Recorded));
    }

    [Fact]
    public async Task Read_OutsideOfATrace_CarriesNone()
    {
        await Assert.ThrowsAsync<BlobStoreException>(async () => await _store.Foreground.ReadAsync(new BlobKey("v/blob"), 0, new byte[16], default));

        Assert.Null(Assert.Single(_seen.Parents));
    }

    private sealed class Seen
    {
        public List<string?> Parents { get; } = [];
    }

    private sealed class Service(Seen seen) : BlobStore.BlobStoreBase
    {
        public override Task Get(GetRequest request, IServerStreamWriter<GetResponse> responseStream, ServerCallContext context)
        {
            seen.Parents.Add(context.RequestHeaders.GetValue("traceparent"));
            throw new RpcException(new Status(StatusCode.NotFound, "none"));
        }
    }
}
