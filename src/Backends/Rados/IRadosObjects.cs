using Gateway.Backends.Rados.Index;

namespace Gateway.Backends.Rados;

/// <summary>A connected client with the pools of one store.</summary>
internal interface IRadosConnection : IDisposable
{
    /// <summary>Where the blobs are.</summary>
    IRadosObjects Blobs { get; }

    /// <summary>Where the index is.</summary>
    IRadosObjects Entries { get; }
}

/// <summary>The operations on objects of one pool and namespace that the store is made of. Each is one RADOS operation, so all of it takes effect or nothing.</summary>
/// <remarks>Failures are <see cref="RadosException"/>. A cancelled operation has ended when its task ends: its memory is the caller's again. Tests have one in memory.</remarks>
internal interface IRadosObjects
{
    /// <summary>Reads up to the object's end; returns the number of bytes.</summary>
    Task<int> ReadAsync(string name, long offsetBytes, Memory<byte> destination, CancellationToken cancellationToken);

    /// <summary>Makes the object of these bytes. <paramref name="isExclusive"/>: fails with EEXIST if it exists.</summary>
    Task WriteAsync(string name, ReadOnlyMemory<byte> content, bool isExclusive, CancellationToken cancellationToken);

    /// <summary>The object's length in bytes, or null if there is none.</summary>
    Task<long?> GetLengthAsync(string name, CancellationToken cancellationToken);

    /// <summary>Removes the object; one that does not exist is no error.</summary>
    Task RemoveAsync(string name, CancellationToken cancellationToken);

    /// <summary>One key's value in the object's omap, or null.</summary>
    Task<IndexEntry?> GetEntryAsync(string name, string key, CancellationToken cancellationToken);

    /// <summary>
    /// If the key's value is <paramref name="expected"/> (null: if there is none), sets it to <paramref name="next"/> (null: removes it) and returns true; else changes nothing.
    /// </summary>
    Task<bool> TryChangeEntryAsync(string name, string key, IndexEntry? expected, IndexEntry? next, CancellationToken cancellationToken);

    /// <summary>Sets the key's value, whatever it was.</summary>
    Task SetEntryAsync(string name, string key, IndexEntry next, CancellationToken cancellationToken);

    /// <summary>The omap's keys with that prefix after that key, in the order of their bytes: at most <paramref name="countMax"/>, and whether there are more.</summary>
    Task<IndexPage> GetPageAsync(string name, string prefix, string startAfter, int countMax, CancellationToken cancellationToken);
}

/// <summary>Keys of an omap, in order.</summary>
/// <param name="Entries">Keys and values.</param>
/// <param name="HasMore">Whether there are more after the last one.</param>
internal sealed record IndexPage(List<(string Key, IndexEntry Entry)> Entries, bool HasMore);

/// <summary>An operation that failed, by its errno.</summary>
/// <param name="errno">Positive, as Linux has it; or <see cref="PoolMissing"/>.</param>
internal sealed class RadosException(int errno) : Exception($"librados: errno {errno}")
{
    /// <summary>The pool is gone: librados has ENOENT for that, too.</summary>
    public const int PoolMissing = -1;

    public int Errno { get; } = errno;
}

/// <summary>An index object holds what no version up to this one writes.</summary>
/// <param name="name">The object's.</param>
internal sealed class IndexDamagedException(string name) : Exception($"'{name}' holds an entry that is none")
{
    public string ObjectName { get; } = name;
}
