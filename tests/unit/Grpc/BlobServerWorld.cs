using System.Collections.Concurrent;
using System.Security.Cryptography;
using System.Text;
using Gateway.Backends.Core;
using Gateway.Backends.Grpc.Server;
using Gateway.Tests.Shared;
using Microsoft.Extensions.Logging;
using Xunit;

namespace Gateway.Backends.Grpc.Tests;

/// <summary>A blob server over memory, its clients, the files they need, and everything that was logged.</summary>
internal sealed class BlobServerWorld : ILoggerProvider, ILogger
{
    private readonly string _directory = Directory.CreateTempSubdirectory("blob-server-").FullName;
    private readonly List<IAsyncDisposable> _opened = [];
    private readonly ILoggerFactory _loggers;

    public BlobServerWorld() => _loggers = LoggerFactory.Create(b => b.SetMinimumLevel(LogLevel.Trace).AddProvider(this));

    public static CancellationToken None => CancellationToken.None;

    public MemoryBlobStore Blobs { get; } = new();

    public ConcurrentQueue<string> Log { get; } = [];

    public string File(string name, string content)
    {
        var path = Path.Combine(_directory, name);
        // In its place in one step, as operators are told to.
        System.IO.File.WriteAllText(path + "~", content);
        System.IO.File.Move(path + "~", path, overwrite: true);
        return path;
    }

    public static string TokenLine(string tenant, string token) => $"{tenant}:{Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(token)))}\n";

    public async Task<BlobServer> ServeAsync(BlobServerOptions options, IBlobStore? store = null)
    {
        var server = await BlobServer.StartAsync(store ?? Blobs, options with { Listen = options.Listen is "" ? "http://127.0.0.1:0" : options.Listen }, TimeProvider.System, _loggers, None);
        _opened.Add(server);
        return server;
    }

    public GrpcBlobStore Connect(BlobServer server, GrpcStoreOptions? options = null)
    {
        var store = new GrpcBlobStore((options ?? new GrpcStoreOptions()) with { Address = server.Address });
        _opened.Add(store);
        return store;
    }

    public GrpcBlobStore ConnectWithToken(BlobServer server, string token) => Connect(server, new GrpcStoreOptions { TokenFile = File("token-" + _opened.Count, token) });

    /// <summary>Stops the servers in order, so that everything they were doing is done.</summary>
    public async ValueTask DisposeAsync()
    {
        foreach (var opened in Enumerable.Reverse(_opened)) await opened.DisposeAsync();
        _loggers.Dispose();
        Directory.Delete(_directory, recursive: true);
    }

    public static async Task<BlobStoreException> ThrowsAsync(BlobErrorKind kind, Func<Task> action)
    {
        var error = await Assert.ThrowsAsync<BlobStoreException>(action);
        Assert.True(kind == error.Kind, $"{kind} was expected, but {error.Kind} came: {error.Message}");
        return error;
    }

    public static async Task<List<string>> NamesAsync(IBlobStore store, string prefix = "")
    {
        var names = new List<string>();
        await foreach (var blob in store.ListAsync(prefix, null, None)) names.Add(blob.Name);
        return names;
    }

    ILogger ILoggerProvider.CreateLogger(string categoryName) => this;

    void ILogger.Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) => Log.Enqueue($"{logLevel} {formatter(state, exception)} {exception}");

    bool ILogger.IsEnabled(LogLevel logLevel) => true;

    IDisposable? ILogger.BeginScope<TState>(TState state) => null;

    void IDisposable.Dispose()
    {
    }
}
