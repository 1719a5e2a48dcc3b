using System.Net;
using Gateway.Backends.Core;
using Gateway.Backends.S3;

namespace Gateway.Bench;

/// <summary>What a store gives to the leanest client there can be: whole objects over a plain HttpClient, signed, but neither checked nor hashed.</summary>
/// <remarks>
/// The yardstick for <see cref="S3BlobStore"/>, which does the same work and answers for it. The bytes of a body are touched by nothing but
/// the socket: the payload is left unsigned, and what comes back is not looked at. Objects lie under names of their own, which
/// <see cref="DisposeAsync"/> removes.
/// </remarks>
internal sealed class S3Ceiling : IAsyncDisposable
{
    /// <summary>Objects that puts replace in turn, for each worker: few, so that a run does not fill the store.</summary>
    private const int ObjectsPerWorker = 2;

    private readonly int _concurrency;
    private readonly TimeProvider _time;
    private readonly S3BlobStore _store;
    private readonly S3Requests _requests;
    private readonly HttpClient _http;
    private readonly byte[] _content;
    private readonly byte[][] _buffers;
    private readonly BlobKey[] _keys;

    /// <summary>Connects to nothing yet.</summary>
    /// <param name="options">The store to measure.</param>
    /// <param name="objectBytes">Length of every object.</param>
    /// <param name="concurrency">Requests on their way at a time.</param>
    /// <param name="time">Clock of measurement, timeouts and signatures.</param>
    /// <param name="random">Content, and the names' nonce.</param>
    public S3Ceiling(S3StoreOptions options, int objectBytes, int concurrency, TimeProvider time, Random random)
    {
        _concurrency = concurrency;
        _time = time;
        _store = new S3BlobStore(options, time);
        _requests = new S3Requests(options, time);
        _http = new HttpClient(new SocketsHttpHandler { AllowAutoRedirect = false, UseCookies = false, ActivityHeadersPropagator = null }) { Timeout = options.RequestTimeout };
        _content = new byte[objectBytes];
        random.NextBytes(_content);
        _buffers = [.. Enumerable.Range(0, concurrency).Select(_ => new byte[objectBytes])];
        var nonce = random.NextInt64();
        _keys = [.. Enumerable.Range(0, concurrency * ObjectsPerWorker).Select(i => new BlobKey($".bench-{nonce:x16}/{i:d4}"))];
    }

    /// <summary>Where it measures, for people.</summary>
    public string Description => _store.Description;

    /// <summary>Puts every object once, by both clients in turn, and reads each back whole by the other one. To be called first.</summary>
    /// <exception cref="BlobStoreException">The store fails, or what comes back is not what was put.</exception>
    public async Task PrepareAsync(CancellationToken cancellationToken)
    {
        for (var i = 0; i < _keys.Length; i++)
        {
            var buffer = _buffers[0];
            Array.Clear(buffer);
            if (i % 2 == 1)
            {
                await LeanPutAsync(_keys[i], cancellationToken);
                await StoreGetAsync(_keys[i], buffer, cancellationToken);
            }
            else
            {
                await StorePutAsync(_keys[i], cancellationToken);
                await LeanGetAsync(_keys[i], buffer, cancellationToken);
            }

            if (!buffer.AsSpan().SequenceEqual(_content))
                throw new BlobStoreException(BlobErrorKind.Corrupt, $"{Description}: blob '{_keys[i]}' does not read back as it was put.");
        }
    }

    /// <summary>Puts by the lean client for a time.</summary>
    public Task<TransferRate> PutAsync(TimeSpan duration, CancellationToken cancellationToken) =>
        MeasureAsync(duration, (key, _, token) => LeanPutAsync(key, token), cancellationToken);

    /// <summary>GETs of whole objects by the lean client for a time.</summary>
    public Task<TransferRate> GetAsync(TimeSpan duration, CancellationToken cancellationToken) =>
        MeasureAsync(duration, (key, buffer, token) => LeanGetAsync(key, buffer, token), cancellationToken);

    /// <summary>The same puts by our store.</summary>
    public Task<TransferRate> PutByStoreAsync(TimeSpan duration, CancellationToken cancellationToken) =>
        MeasureAsync(duration, (key, _, token) => StorePutAsync(key, token), cancellationToken);

    /// <summary>The same reads by our store.</summary>
    public Task<TransferRate> GetByStoreAsync(TimeSpan duration, CancellationToken cancellationToken) => MeasureAsync(duration, StoreGetAsync, cancellationToken);

    /// <summary>GETs of given whole objects, each once, by the lean client.</summary>
    public async Task<TransferRate> GetEachAsync(IReadOnlyList<BlobInfo> objects, CancellationToken cancellationToken)
    {
        var cpuBefore = Environment.CpuUsage.TotalTime;
        var allocatedBefore = GC.GetTotalAllocatedBytes(precise: true);
        var start = _time.GetTimestamp();
        var next = -1;
        await Task.WhenAll(Enumerable.Range(0, _concurrency).Select(_ => Task.Run(async () =>
        {
            var buffer = new byte[objects.Max(o => o.LengthBytes)];
            for (int i; (i = Interlocked.Increment(ref next)) < objects.Count;)
                await LeanGetAsync(new BlobKey(objects[i].Name), buffer.AsMemory(0, (int)objects[i].LengthBytes), cancellationToken);
        }, cancellationToken)));
        return new TransferRate(
            objects.Count, objects.Sum(o => o.LengthBytes), _time.GetElapsedTime(start), Environment.CpuUsage.TotalTime - cpuBefore,
            GC.GetTotalAllocatedBytes(precise: true) - allocatedBefore);
    }

    public async ValueTask DisposeAsync()
    {
        try
        {
            foreach (var key in _keys) await _store.DeleteAsync(key, CancellationToken.None);
        }
        catch (BlobStoreException)
        {
            // The store has failed before: why, has been told.
        }

        _http.Dispose();
        await _store.DisposeAsync();
    }

    /// <summary>Every worker keeps one request on its way until the time is over; the last ones are waited for, and counted.</summary>
    private async Task<TransferRate> MeasureAsync(TimeSpan duration, Func<BlobKey, byte[], CancellationToken, ValueTask> transfer, CancellationToken cancellationToken)
    {
        var cpuBefore = Environment.CpuUsage.TotalTime;
        var allocatedBefore = GC.GetTotalAllocatedBytes(precise: true);
        var start = _time.GetTimestamp();
        var requests = 0;
        await Task.WhenAll(Enumerable.Range(0, _concurrency).Select(worker => Task.Run(async () =>
        {
            for (var i = 0; _time.GetElapsedTime(start) < duration; i++)
            {
                await transfer(_keys[worker * ObjectsPerWorker + i % ObjectsPerWorker], _buffers[worker], cancellationToken);
                Interlocked.Increment(ref requests);
            }
        }, cancellationToken)));
        return new TransferRate(
            requests, (long)requests * _content.Length, _time.GetElapsedTime(start), Environment.CpuUsage.TotalTime - cpuBefore,
            GC.GetTotalAllocatedBytes(precise: true) - allocatedBefore);
    }

    private ValueTask StorePutAsync(BlobKey key, CancellationToken cancellationToken) => _store.PutAsync(key, _content, Precondition.None, cancellationToken);

    private ValueTask StoreGetAsync(BlobKey key, byte[] buffer, CancellationToken cancellationToken) => _store.ReadExactlyAsync(key, 0, buffer, cancellationToken);

    private async ValueTask LeanPutAsync(BlobKey key, CancellationToken cancellationToken)
    {
        using var request = await _requests.PutAsync(key, new ReadOnlyMemoryContent(_content), null, null, Precondition.None, cancellationToken);
        using var response = await SendAsync(request, HttpStatusCode.OK, cancellationToken);
    }

    private async ValueTask LeanGetAsync(BlobKey key, Memory<byte> buffer, CancellationToken cancellationToken)
    {
        using var request = await _requests.GetAsync(key, 0, buffer.Length, cancellationToken);
        using var response = await SendAsync(request, HttpStatusCode.PartialContent, cancellationToken);
        await using var body = await response.Content.ReadAsStreamAsync(cancellationToken);
        await body.ReadExactlyAsync(buffer, cancellationToken);
    }

    private async ValueTask<HttpResponseMessage> SendAsync(HttpRequestMessage request, HttpStatusCode expected, CancellationToken cancellationToken)
    {
        try
        {
            var response = await _http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, cancellationToken);
            if (response.StatusCode == expected) return response;
            response.Dispose();
            throw new BlobStoreException(BlobErrorKind.Unavailable, $"{Description}: {request.Method} was answered with status {(int)response.StatusCode} by the store. Run 'volume list' on it, which says more.");
        }
        catch (HttpRequestException e)
        {
            throw new BlobStoreException(BlobErrorKind.Unavailable, $"{Description}: {request.Method} failed: {e.Message}", e);
        }
    }
}

/// <summary>One measurement.</summary>
/// <param name="Requests">How many ended well; one that does not ends the measurement.</param>
/// <param name="Bytes">In their bodies.</param>
/// <param name="Elapsed">From the first one's start to the last one's end.</param>
/// <param name="Cpu">Processor time of this process meanwhile.</param>
/// <param name="AllocatedBytes">On the managed heap of this process meanwhile.</param>
internal readonly record struct TransferRate(int Requests, long Bytes, TimeSpan Elapsed, TimeSpan Cpu, long AllocatedBytes)
{
    /// <summary>10^6 bytes per second.</summary>
    public double MegabytesPerSecond => Bytes / 1e6 / Elapsed.TotalSeconds;

    /// <summary>The measurements of several rounds as one.</summary>
    public static TransferRate operator +(TransferRate left, TransferRate right) => new(
        left.Requests + right.Requests, left.Bytes + right.Bytes, left.Elapsed + right.Elapsed, left.Cpu + right.Cpu, left.AllocatedBytes + right.AllocatedBytes);
}
