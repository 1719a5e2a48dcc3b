using System.Collections.Concurrent;
using Gateway.Diagnostics;

namespace Gateway.Backends.Core;

/// <summary>What a request to a store does, as stores price it.</summary>
public enum StoreOperation
{
    /// <summary>Reads a blob or a part of it.</summary>
    Get,

    /// <summary>Stores a blob.</summary>
    Put,

    /// <summary>Asks for a blob's length.</summary>
    Head,

    /// <summary>Lists a page of names.</summary>
    List,

    /// <summary>Removes a blob.</summary>
    Delete,
}

/// <summary>Counts of the requests to one store. Thread safe; counting allocates nothing once a volume and a kind of failure are known.</summary>
/// <remarks>A request belongs to the volume in whose folder its blob is. Of more than <see cref="VolumesMax"/> volumes the rest are counted as none.</remarks>
public sealed class RequestMeter
{
    /// <summary>Volumes that are told apart.</summary>
    public const int VolumesMax = 1024;

    /// <summary>Names in a page of a listing: a store is asked once for so many.</summary>
    public const int NamesPerPage = 1000;

    private readonly ConcurrentDictionary<string, VolumeRequests> _volumes = new(StringComparer.Ordinal);
    private readonly ConcurrentDictionary<string, VolumeRequests>.AlternateLookup<ReadOnlySpan<char>> _byFolder;
    private readonly ConcurrentDictionary<(StoreOperation Operation, string? Error), DurationCounts> _durations = new();
    private readonly VolumeRequests _others = new();

    public RequestMeter() => _byFolder = _volumes.GetAlternateLookup<ReadOnlySpan<char>>();

    /// <summary>Times of the requests, by what they did and how they failed (null: they did not).</summary>
    public IEnumerable<(StoreOperation Operation, string? Error, DurationCounts Durations)> Durations => _durations.Select(d => (d.Key.Operation, d.Key.Error, d.Value));

    /// <summary>Counts by the folder of the volume; null for those that belong to none.</summary>
    public IEnumerable<(string? Volume, VolumeRequests Requests)> Volumes => _volumes.Select(v => ((string?)v.Key, v.Value)).Append((null, _others));

    /// <summary>Those of the volume that a blob, or the beginning of blobs' names, belongs to.</summary>
    public VolumeRequests Of(string name)
    {
        var end = name.IndexOf('/', StringComparison.Ordinal);
        if (end <= 0) return _others;
        var folder = name.AsSpan(0, end);
        if (_byFolder.TryGetValue(folder, out var known)) return known;
        return _volumes.Count >= VolumesMax ? _others : _volumes.GetOrAdd(folder.ToString(), static _ => new VolumeRequests());
    }

    /// <summary>A request has ended.</summary>
    public void Ended(VolumeRequests of, StoreOperation operation, string? error, TimeSpan took)
    {
        of.Add(operation, error);
        _durations.GetOrAdd((operation, error), static _ => new DurationCounts()).Add(took);
    }

    /// <summary>How a failure is called in metrics.</summary>
    public static string ErrorOf(Exception failure) => failure switch
    {
        BlobStoreException e => e.Kind switch
        {
            BlobErrorKind.NotFound => "not_found",
            BlobErrorKind.PreconditionFailed => "precondition_failed",
            BlobErrorKind.AccessDenied => "access_denied",
            BlobErrorKind.Throttled => "throttled",
            BlobErrorKind.Unavailable => "unavailable",
            BlobErrorKind.Corrupt => "corrupt",
            BlobErrorKind.ContainerMissing => "container_missing",
            _ => "rejected",
        },
        OperationCanceledException => "cancelled",
        _ => "other",
    };
}

/// <summary>The requests for one volume's blobs. Thread safe.</summary>
public sealed class VolumeRequests
{
    private readonly ConcurrentDictionary<(StoreOperation Operation, string? Error), StrongCount> _requests = new();
    private long _sentBytes;
    private long _receivedBytes;

    /// <summary>Bytes of the blobs put, whether that succeeded or not.</summary>
    public long SentBytes => Volatile.Read(ref _sentBytes);

    /// <summary>Bytes read.</summary>
    public long ReceivedBytes => Volatile.Read(ref _receivedBytes);

    public IEnumerable<(StoreOperation Operation, string? Error, long Count)> Requests => _requests.Select(r => (r.Key.Operation, r.Key.Error, Volatile.Read(ref r.Value.Value)));

    public void Sent(long bytes) => Interlocked.Add(ref _sentBytes, bytes);

    public void Received(long bytes) => Interlocked.Add(ref _receivedBytes, bytes);

    public void Add(StoreOperation operation, string? error, long count = 1) =>
        Interlocked.Add(ref _requests.GetOrAdd((operation, error), static _ => new StrongCount()).Value, count);

    private sealed class StrongCount
    {
        public long Value;
    }
}
