namespace Gateway.Backends.Core;

/// <summary>Counts and times what is asked of a store. Directly before the store, so that repetitions and hedges count: they cost, too.</summary>
public sealed class MeteringStore(IBlobStore inner, RequestMeter meter, TimeProvider time) : IBlobStore
{
    public string Description => inner.Description;

    public async ValueTask<int> ReadAsync(BlobKey key, long offsetBytes, Memory<byte> destination, CancellationToken cancellationToken)
    {
        var (of, from) = (meter.Of(key.Value), time.GetTimestamp());
        try
        {
            var read = await inner.ReadAsync(key, offsetBytes, destination, cancellationToken);
            of.Received(read);
            Ended(of, StoreOperation.Get, null, from);
            return read;
        }
        catch (Exception e)
        {
            Ended(of, StoreOperation.Get, RequestMeter.ErrorOf(e), from);
            throw;
        }
    }

    public async ValueTask PutAsync(BlobKey key, ReadOnlyMemory<byte> content, Precondition precondition, CancellationToken cancellationToken)
    {
        var (of, from) = (meter.Of(key.Value), time.GetTimestamp());
        of.Sent(content.Length);
        try
        {
            await inner.PutAsync(key, content, precondition, cancellationToken);
            Ended(of, StoreOperation.Put, null, from);
        }
        catch (Exception e)
        {
            Ended(of, StoreOperation.Put, RequestMeter.ErrorOf(e), from);
            throw;
        }
    }

    public async ValueTask<long?> GetLengthAsync(BlobKey key, CancellationToken cancellationToken)
    {
        var (of, from) = (meter.Of(key.Value), time.GetTimestamp());
        try
        {
            var length = await inner.GetLengthAsync(key, cancellationToken);
            Ended(of, StoreOperation.Head, null, from);
            return length;
        }
        catch (Exception e)
        {
            Ended(of, StoreOperation.Head, RequestMeter.ErrorOf(e), from);
            throw;
        }
    }

    public IAsyncEnumerable<BlobInfo> ListAsync(string prefix, string? startAfter, CancellationToken cancellationToken) => MeterAsync(meter.Of(prefix), inner.ListAsync(prefix, startAfter, cancellationToken), cancellationToken);

    public IAsyncEnumerable<string> ListFoldersAsync(string prefix, CancellationToken cancellationToken) => MeterAsync(meter.Of(prefix), inner.ListFoldersAsync(prefix, cancellationToken), cancellationToken);

    public async ValueTask DeleteAsync(BlobKey key, CancellationToken cancellationToken)
    {
        var (of, from) = (meter.Of(key.Value), time.GetTimestamp());
        try
        {
            await inner.DeleteAsync(key, cancellationToken);
            Ended(of, StoreOperation.Delete, null, from);
        }
        catch (Exception e)
        {
            Ended(of, StoreOperation.Delete, RequestMeter.ErrorOf(e), from);
            throw;
        }
    }

    public ValueTask DisposeAsync() => inner.DisposeAsync();

    private void Ended(VolumeRequests of, StoreOperation operation, string? error, long from) => meter.Ended(of, operation, error, time.GetElapsedTime(from));

    /// <summary>The first page is timed; further ones are counted by the names that came.</summary>
    private async IAsyncEnumerable<T> MeterAsync<T>(VolumeRequests of, IAsyncEnumerable<T> listing, [System.Runtime.CompilerServices.EnumeratorCancellation] CancellationToken cancellationToken)
    {
        var from = time.GetTimestamp();
        await using var items = listing.GetAsyncEnumerator(cancellationToken);
        for (var names = 0; await MoveNextAsync(names == 0); names++)
        {
            if (names > 0 && names % RequestMeter.NamesPerPage == 0) of.Add(StoreOperation.List, null);
            yield return items.Current;
        }

        async ValueTask<bool> MoveNextAsync(bool isFirst)
        {
            try
            {
                var any = await items.MoveNextAsync();
                if (isFirst) Ended(of, StoreOperation.List, null, from);
                return any;
            }
            catch (Exception e)
            {
                Ended(of, StoreOperation.List, RequestMeter.ErrorOf(e), from);
                throw;
            }
        }
    }
}
