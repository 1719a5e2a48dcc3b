using System.Buffers;
using System.Runtime.CompilerServices;
using Gateway.Backends.Core;
using Gateway.Backends.Rados.Index;

namespace Gateway.Backends.Rados;

/// <summary>A namespace of a Ceph pool as a blob store: one object per blob, named like it, and a few that hold the index of names (<see cref="BlobIndex"/>).</summary>
/// <remarks>
/// A read, a look and the write of a put are one RADOS operation each; a put has one before it and one after it for the index. Everything is tried once: only the caller knows
/// whether to try again. librados itself sends an operation again if a connection breaks or the map of the cluster changes, and an OSD knows one that it has done.
/// </remarks>
public sealed class RadosBlobStore : IBlobStore
{
    /// <summary>What names consist of: a prefix with anything else has no blobs.</summary>
    private static readonly SearchValues<char> NameCharacters = SearchValues.Create("-./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz");

    /// <summary>After every name that begins with what stands before it.</summary>
    private const char AfterAllNames = '\x7f';

    private readonly RadosStoreOptions _options;
    private readonly TimeProvider _time;
    private readonly Func<IRadosConnection> _open;
    private readonly Lock _gate = new();
    private Task<Session>? _session;
    private volatile bool _isDisposed;

    /// <summary>Connects to nothing yet, and loads no library.</summary>
    /// <param name="options">Read once, here.</param>
    /// <param name="time">Measures <see cref="RadosStoreOptions.RequestTimeout"/>, and dates the index's entries; the system's clock if null.</param>
    public RadosBlobStore(RadosStoreOptions options, TimeProvider? time = null)
        : this(options, time ?? TimeProvider.System, null)
    {
    }

    /// <param name="options">As above.</param>
    /// <param name="time">As above.</param>
    /// <param name="open">Connects, and may block; librados if null.</param>
    internal RadosBlobStore(RadosStoreOptions options, TimeProvider time, Func<IRadosConnection>? open)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(options.Pool);
        _options = options with { };
        _time = time;
        var cluster = options.Monitors ?? options.ConfigurationFile ?? RadosStoreOptions.ConfigurationFileDefault;
        Description = $"pool {options.Pool}{(options.Namespace.Length > 0 ? $", namespace {options.Namespace}," : "")} of the Ceph cluster at {cluster}";
        _open = open ?? (() => RadosConnection.Open(_options, Description));
    }

    public string Description { get; }

    public async ValueTask<int> ReadAsync(BlobKey key, long offsetBytes, Memory<byte> destination, CancellationToken cancellationToken)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(offsetBytes);
        return await RequestAsync(What(key), "reading", async (session, token) =>
        {
            if (!destination.IsEmpty) return await session.Blobs.ReadAsync(key.Value, offsetBytes, destination, token);
            // Nothing is asked for, but a missing blob must still be reported.
            return await session.Blobs.GetLengthAsync(key.Value, token) is null ? throw new RadosException(RadosErrors.ENOENT) : 0;
        }, cancellationToken);
    }

    public async ValueTask PutAsync(BlobKey key, ReadOnlyMemory<byte> content, Precondition precondition, CancellationToken cancellationToken) =>
        await RequestAsync(What(key), "putting", async (session, token) =>
        {
            var mustBeAbsent = precondition == Precondition.Absent;
            var claim = await session.Index.TryClaimAsync(key.Value, mustBeAbsent, token) ?? throw new RadosException(RadosErrors.EEXIST);
            await session.Blobs.WriteAsync(key.Value, content, mustBeAbsent, token);
            await IgnoreFailureAsync(session.Index.SettleAsync(claim, content.Length, token));
            return 0;
        }, cancellationToken);

    public async ValueTask<long?> GetLengthAsync(BlobKey key, CancellationToken cancellationToken) =>
        await RequestAsync(What(key), "looking at it", async (session, token) => await session.Blobs.GetLengthAsync(key.Value, token), cancellationToken);

    public async IAsyncEnumerable<BlobInfo> ListAsync(string prefix, string? startAfter, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        var session = await SessionAsync("listing", cancellationToken);
        if (prefix.AsSpan().ContainsAnyExcept(NameCharacters)) yield break;
        var listing = session.List(prefix, startAfter ?? "");
        while (await listing.NextAsync(page => PageAsync(session, page, cancellationToken)) is { } blob) yield return blob;
    }

    public async IAsyncEnumerable<string> ListFoldersAsync(string prefix, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        if (prefix.Length > 0 && prefix[^1] != '/') throw new ArgumentException("A folder prefix is empty or ends in '/'.", nameof(prefix));
        var session = await SessionAsync("listing folders", cancellationToken);
        if (prefix.AsSpan().ContainsAnyExcept(NameCharacters)) yield break;
        var listing = session.List(prefix, "");
        while (await listing.NextAsync(page => PageAsync(session, page, cancellationToken)) is { } blob)
        {
            var end = blob.Name.IndexOf('/', prefix.Length) + 1;
            if (end == 0) continue;
            yield return blob.Name[prefix.Length..end];
            listing.Skip(blob.Name[..end] + AfterAllNames);
        }
    }

    public async ValueTask DeleteAsync(BlobKey key, CancellationToken cancellationToken) =>
        await RequestAsync(What(key), "removing", async (session, token) =>
        {
            var claim = await session.Index.TryClaimAsync(key.Value, mustBeAbsent: false, token);
            await session.Blobs.RemoveAsync(key.Value, token);
            await IgnoreFailureAsync(session.Index.RetractAsync(claim!.Value, token));
            return 0;
        }, cancellationToken);

    public async ValueTask DisposeAsync()
    {
        Task<Session>? session;
        lock (_gate) (session, _session, _isDisposed) = (_session, null, true);
        if (session is not null) await CloseAsync(session);
    }

    private string What(BlobKey key) => $"{Description}, blob '{key.Value}'";

    /// <summary>The put or delete has taken effect, and listings show it: that it has not been noted down in the end costs them a look.</summary>
    private static async Task IgnoreFailureAsync(Task note)
    {
        try
        {
            await note;
        }
        catch (Exception e) when (e is RadosException or OperationCanceledException)
        {
            // As above.
        }
    }

    private ValueTask<int> PageAsync(Session session, Func<CancellationToken, ValueTask<int>> page, CancellationToken cancellationToken) =>
        RequestAsync(Description, "listing", (_, token) => page(token), cancellationToken, session);

    private ValueTask<Session> SessionAsync(string action, CancellationToken cancellationToken) => RequestAsync(Description, action, (session, _) => ValueTask.FromResult(session), cancellationToken);

    /// <summary>Runs one request under its timeout, and translates whatever goes wrong.</summary>
    private async ValueTask<T> RequestAsync<T>(string what, string action, Func<Session, CancellationToken, ValueTask<T>> request, CancellationToken cancellationToken, Session? session = null)
    {
        cancellationToken.ThrowIfCancellationRequested();
        using var timeout = new CancellationTokenSource(_options.RequestTimeout, _time);
        using var both = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, timeout.Token);
        try
        {
            session ??= await ConnectAsync().WaitAsync(both.Token);
            return await request(session, both.Token);
        }
        catch (RadosException e)
        {
            // Neither comes back to a client that the cluster has cut off, nor one pool for another of its name.
            if (e.Errno is RadosErrors.ESHUTDOWN or RadosException.PoolMissing) Forget(session!);
            throw RadosErrors.From(e.Errno, what, action, _options);
        }
        catch (IndexDamagedException e)
        {
            throw RadosErrors.IndexDamaged(what, e.ObjectName);
        }
        catch (ObjectDisposedException) when (!_isDisposed)
        {
            // Another request has just given this connection up.
            throw RadosErrors.From(RadosErrors.ENOTCONN, what, action, _options);
        }
        catch (OperationCanceledException)
        {
            cancellationToken.ThrowIfCancellationRequested();
            throw RadosErrors.TimedOut(what, action, _options);
        }
    }

    /// <summary>The connection, on its way or there; one that failed is tried again by who comes next.</summary>
    private Task<Session> ConnectAsync()
    {
        lock (_gate)
        {
            ObjectDisposedException.ThrowIf(_isDisposed, this);
            if (_session is null or { IsCompleted: true, IsCompletedSuccessfully: false })
                // librados blocks while it connects: on a thread of its own.
                _session = Task.Factory.StartNew(() => new Session(_open(), _time), CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
            return _session;
        }
    }

    private void Forget(Session session)
    {
        lock (_gate)
        {
            if (_session is not { IsCompletedSuccessfully: true } current || !ReferenceEquals(current.GetAwaiter().GetResult(), session)) return;
            _session = null;
        }

        session.Dispose();
    }

    private static async Task CloseAsync(Task<Session> session)
    {
        try
        {
            var open = await session;
            // Ending librados's threads takes a while, too.
            await Task.Factory.StartNew(open.Dispose, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
        }
        catch (BlobStoreException)
        {
            // It never came about.
        }
    }

    /// <summary>A connection, and the index over it.</summary>
    private sealed class Session(IRadosConnection connection, TimeProvider time) : IDisposable
    {
        public IRadosObjects Blobs => connection.Blobs;

        public BlobIndex Index { get; } = new(connection.Entries, time);

        public IndexListing List(string prefix, string startAfter) => new(Index, connection.Entries, connection.Blobs, prefix, startAfter);

        public void Dispose() => connection.Dispose();
    }
}
