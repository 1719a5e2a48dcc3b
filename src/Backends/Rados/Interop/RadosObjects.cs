using System.Text;
using Gateway.Backends.Rados.Index;

namespace Gateway.Backends.Rados.Interop;

/// <summary>Objects of a pool and namespace of a cluster.</summary>
/// <param name="cluster">Connected.</param>
/// <param name="pool">Of that cluster; disposed of by its owner, and gone only after the last operation.</param>
/// <param name="poolName">To look whether it still is that pool.</param>
internal sealed class RadosObjects(RadosClusterHandle cluster, RadosPoolHandle pool, string poolName) : IRadosObjects
{
    private const int ENOENT = 2, ECANCELED = 125;

    /// <summary>Enough for a length, a flag and a result. Where librados writes, memory must stay where it is.</summary>
    private static ulong[] NewResults() => GC.AllocateArray<ulong>(2, pinned: true);

    public async Task<int> ReadAsync(string name, long offsetBytes, Memory<byte> destination, CancellationToken cancellationToken)
    {
        using var pin = destination.Pin();
        var read = await RunAsync(completion =>
        {
            unsafe
            {
                return Librados.Read(pool, name, completion, (byte*)pin.Pointer, (nuint)destination.Length, (ulong)offsetBytes);
            }
        }, cancellationToken);
        return Require(read);
    }

    public async Task WriteAsync(string name, ReadOnlyMemory<byte> content, bool isExclusive, CancellationToken cancellationToken)
    {
        using var write = Librados.CreateWrite();
        if (isExclusive) Librados.AddCreate(write, Librados.CreateExclusive, 0);
        AddWriteFull(write, content.Span);
        Require(await OperateAsync(write, name, cancellationToken));
    }

    public async Task<long?> GetLengthAsync(string name, CancellationToken cancellationToken)
    {
        var results = NewResults();
        var code = await RunAsync(completion =>
        {
            unsafe
            {
                fixed (ulong* length = results) return Librados.Stat(pool, name, completion, length, null);
            }
        }, cancellationToken);
        if (code == -ENOENT && IsPoolThere()) return null;
        Require(code);
        return (long)results[0];
    }

    public async Task RemoveAsync(string name, CancellationToken cancellationToken)
    {
        using var write = Librados.CreateWrite();
        Librados.AddRemove(write);
        var code = await OperateAsync(write, name, cancellationToken);
        if (code != -ENOENT || !IsPoolThere()) Require(code);
    }

    public async Task<IndexEntry?> GetEntryAsync(string name, string key, CancellationToken cancellationToken)
    {
        var results = NewResults();
        using var read = Librados.CreateRead();
        using var values = AddGetValue(read, key, results);
        var code = await RunAsync(completion => Librados.Operate(read, pool, completion, name, 0), cancellationToken);
        GC.KeepAlive(results);
        if (code == -ENOENT && IsPoolThere()) return null;
        Require(code);
        return Collect(values, name) is [(_, var entry)] ? entry : null;
    }

    public async Task<bool> TryChangeEntryAsync(string name, string key, IndexEntry? expected, IndexEntry? next, CancellationToken cancellationToken)
    {
        using var write = Librados.CreateWrite();
        // There can be nothing to compare with in an object that is not there.
        if (next is not null) Librados.AddCreate(write, Librados.CreateIdempotent, 0);
        AddCompare(write, key, expected?.ToBytes() ?? []);
        AddChange(write, key, next?.ToBytes());
        var code = await OperateAsync(write, name, cancellationToken);
        if (code == -ECANCELED || (code == -ENOENT && IsPoolThere())) return false;
        Require(code);
        return true;
    }

    public async Task SetEntryAsync(string name, string key, IndexEntry next, CancellationToken cancellationToken)
    {
        using var write = Librados.CreateWrite();
        AddChange(write, key, next.ToBytes());
        Require(await OperateAsync(write, name, cancellationToken));
    }

    public async Task<IndexPage> GetPageAsync(string name, string prefix, string startAfter, int countMax, CancellationToken cancellationToken)
    {
        var results = NewResults();
        using var read = Librados.CreateRead();
        using var values = AddGetPage(read, prefix, startAfter, countMax, results);
        var code = await RunAsync(completion => Librados.Operate(read, pool, completion, name, 0), cancellationToken);
        if (code == -ENOENT && IsPoolThere()) return new IndexPage([], false);
        Require(code);
        return new IndexPage(Collect(values, name), results[0] != 0);
    }

    private Task<int> OperateAsync(RadosWriteHandle write, string name, CancellationToken cancellationToken) =>
        RunAsync(completion => Librados.Operate(write, pool, completion, name, 0, Librados.FullTry), cancellationToken);

    /// <summary>Starts an operation and waits for its end, also when it is cancelled: nothing of it is at work afterwards.</summary>
    private async Task<int> RunAsync(Func<RadosCompletion, int> start, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        var isKept = false;
        pool.DangerousAddRef(ref isKept);
        try
        {
            using var completion = RadosCompletion.Create();
            var code = start(completion);
            if (code < 0)
            {
                completion.Abandon();
                return code;
            }

            // Leaving waits for a cancellation that is just running.
            await using (cancellationToken.UnsafeRegister(_ => Librados.Cancel(pool, completion), null)) code = await completion.Task;
            if (code == -ECANCELED) cancellationToken.ThrowIfCancellationRequested();
            return code;
        }
        finally
        {
            pool.DangerousRelease();
        }
    }

    private int Require(int code)
    {
        if (code >= 0) return code;
        throw new RadosException(code == -ENOENT && !IsPoolThere() ? RadosException.PoolMissing : -code);
    }

    /// <summary>A pool that is gone gives ENOENT, as an object that is not there does. One that was made again is another one. Asks this client's map alone.</summary>
    private bool IsPoolThere() => Librados.LookUpPool(cluster, poolName) == Librados.GetPoolId(pool);

    /// <summary>Copied by librados, which has no call that would not: the memory is the caller's again before the request is on its way.</summary>
    private static unsafe void AddWriteFull(RadosWriteHandle write, ReadOnlySpan<byte> content)
    {
        byte none = 0;
        fixed (byte* bytes = content) Librados.AddWriteFull(write, content.IsEmpty ? &none : bytes, (nuint)content.Length);
    }

    private static unsafe void AddCompare(RadosWriteHandle write, string key, byte[] value)
    {
        byte none = 0;
        fixed (byte* keyBytes = Encoding.ASCII.GetBytes(key), valueBytes = value)
            Librados.AddCompare(write, keyBytes, Librados.CompareEqual, value.Length == 0 ? &none : valueBytes, (nuint)key.Length, (nuint)value.Length, null);
    }

    /// <param name="write">Gets one step more.</param>
    /// <param name="key">A blob's name: ASCII.</param>
    /// <param name="value">Null removes the key.</param>
    private static unsafe void AddChange(RadosWriteHandle write, string key, byte[]? value)
    {
        fixed (byte* keyBytes = Encoding.ASCII.GetBytes(key), valueBytes = value)
        {
            byte* keys = keyBytes, values = valueBytes;
            var (keyLength, valueLength) = ((nuint)key.Length, (nuint)(value?.Length ?? 0));
            if (value is null) Librados.AddRemoveKeys(write, &keys, &keyLength, 1);
            else Librados.AddSet(write, &keys, &values, &keyLength, &valueLength, 1);
        }
    }

    private static unsafe RadosOmapHandle AddGetValue(RadosReadHandle read, string key, ulong[] results)
    {
        fixed (byte* keyBytes = Encoding.ASCII.GetBytes(key))
        fixed (ulong* result = results)
        {
            var keys = keyBytes;
            var keyLength = (nuint)key.Length;
            Librados.AddGetValuesByKeys(read, &keys, 1, &keyLength, out var values, (int*)result);
            return values;
        }
    }

    private static unsafe RadosOmapHandle AddGetPage(RadosReadHandle read, string prefix, string startAfter, int countMax, ulong[] results)
    {
        fixed (ulong* more = results)
        {
            Librados.AddGetValues(read, startAfter, prefix, (ulong)countMax, out var values, (byte*)more, (int*)(more + 1));
            return values;
        }
    }

    private static unsafe List<(string Key, IndexEntry Entry)> Collect(RadosOmapHandle values, string name)
    {
        var entries = new List<(string, IndexEntry)>();
        byte* key, value;
        nuint keyLength, valueLength;
        while (Librados.GetNext(values, &key, &value, &keyLength, &valueLength) == 0 && key is not null)
        {
            if (!IndexEntry.TryParse(new ReadOnlySpan<byte>(value, (int)valueLength), out var entry)) throw new IndexDamagedException(name);
            entries.Add((Encoding.ASCII.GetString(key, (int)keyLength), entry));
        }

        return entries;
    }
}
