using System.Net;
using Gateway.Backends.Grpc.V1;
using Grpc.Core;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;

[assembly: System.Runtime.Versioning.SupportedOSPlatform("linux")]

namespace Gateway.Backends.Grpc.Tests;

/// <summary>A server that answers as a test says, however wrong that is.</summary>
internal sealed class ScriptedServer : IAsyncDisposable
{
    private readonly WebApplication _application;

    private ScriptedServer(WebApplication application) => _application = application;

    public string Address => _application.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.First();

    public static async Task<ScriptedServer> StartAsync(Script script)
    {
        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions { ContentRootPath = AppContext.BaseDirectory });
        builder.Services.AddSingleton(script);
        builder.Services.AddSingleton<Service>();
        builder.Services.AddGrpc(o => o.MaxSendMessageSize = null);
        builder.WebHost.UseKestrelCore().ConfigureKestrel(k => k.Listen(IPAddress.Loopback, 0, e => e.Protocols = HttpProtocols.Http2));
        var application = builder.Build();
        application.MapGrpcService<Service>();
        await application.StartAsync();
        return new ScriptedServer(application);
    }

    public ValueTask DisposeAsync() => _application.DisposeAsync();

    /// <summary>What is answered; what is not set is UNIMPLEMENTED.</summary>
    internal sealed class Script
    {
        public IEnumerable<GetResponse>? Get { get; init; }

        public IEnumerable<ListResponse>? List { get; init; }

        public IEnumerable<ListFoldersResponse>? Folders { get; init; }

        public PutResponse? Put { get; init; }

        public GetLengthResponse? Length { get; init; }

        /// <summary>Ends every call.</summary>
        public RpcException? Failure { get; init; }
    }

    internal sealed class Service(Script script) : V1.BlobStore.BlobStoreBase
    {
        public override Task<PutResponse> Put(IAsyncStreamReader<PutRequest> requestStream, ServerCallContext context) => AnswerAsync(script.Put);

        public override Task<GetLengthResponse> GetLength(GetLengthRequest request, ServerCallContext context) => AnswerAsync(script.Length);

        public override Task Get(GetRequest request, IServerStreamWriter<GetResponse> responseStream, ServerCallContext context) => AnswerAsync(script.Get, responseStream);

        public override Task List(ListRequest request, IServerStreamWriter<ListResponse> responseStream, ServerCallContext context) => AnswerAsync(script.List, responseStream);

        public override Task ListFolders(ListFoldersRequest request, IServerStreamWriter<ListFoldersResponse> responseStream, ServerCallContext context) => AnswerAsync(script.Folders, responseStream);

        private Task<T> AnswerAsync<T>(T? answer) => Task.FromResult(script.Failure is { } failure ? throw failure : answer ?? throw new RpcException(new Status(StatusCode.Unimplemented, "")));

        private async Task AnswerAsync<T>(IEnumerable<T>? answers, IServerStreamWriter<T> stream)
        {
            if (script.Failure is { } failure) throw failure;
            foreach (var answer in answers ?? throw new RpcException(new Status(StatusCode.Unimplemented, ""))) await stream.WriteAsync(answer);
        }
    }
}
