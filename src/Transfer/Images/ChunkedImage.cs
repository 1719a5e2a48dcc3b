using System.Globalization;
using Gateway.Backends.Core;

namespace Gateway.Transfer.Images;

/// <summary>A disk that is cut into chunks of one size, each an object of a store, as s3backer and nbdkit's S3 plugin keep it. A chunk without an object reads as zeroes.</summary>
/// <remarks>Which chunks there are comes from the listing, which names them in order: a sparse disk costs no request for what is not there.</remarks>
public sealed class ChunkedImage : DiskImage
{
    private readonly IBlobStore _store;
    private readonly ChunkLayout _layout;
    private readonly long _chunkBytes;
    private IAsyncEnumerator<BlobInfo>? _listing;
    private long _asked; // The last chunk that was asked for.
    private long _next = -1; // The first from there on that has an object; -1: none has.

    private ChunkedImage(IBlobStore store, ChunkLayout layout, long chunkBytes, long sizeBytes)
    {
        (_store, _layout, _chunkBytes, SizeBytes) = (store, layout, chunkBytes, sizeBytes);
        Identity = string.Create(CultureInfo.InvariantCulture, $"chunks of {chunkBytes} bytes '{layout}' in {store.Description} ({sizeBytes} bytes)");
    }

    public override string Identity { get; }

    public override long SizeBytes { get; }

    /// <param name="store">Where the chunks are; it stays the caller's.</param>
    /// <param name="layout">How they are named.</param>
    /// <param name="chunkBytes">Length of a chunk in bytes; null: that of the first object.</param>
    /// <param name="sizeBytes">Capacity of the disk in bytes; null: up to the end of the last object.</param>
    /// <param name="cancellationToken">Ends it.</param>
    /// <exception cref="ImageException">There are no such objects, or they are no chunks of one size.</exception>
    /// <exception cref="BlobStoreException">The store failed.</exception>
    public static async Task<ChunkedImage> OpenAsync(IBlobStore store, ChunkLayout layout, long? chunkBytes, long? sizeBytes, CancellationToken cancellationToken)
    {
        (long Index, BlobInfo Blob)? first = null;
        (long Index, BlobInfo Blob)? last = null;
        await foreach (var blob in store.ListAsync(layout.Prefix, null, cancellationToken))
        {
            if (!layout.TryParse(blob.Name, out var index)) continue;
            last = (index, blob);
            first ??= last;
            if (sizeBytes is not null) break; // It is known where the disk ends.
        }

        if (first is null) throw new ImageException($"{store.Description} has no object '{layout}'. Check the layout and the store's prefix: 'tcmu-gateway store list' shows it.");
        var chunk = chunkBytes ?? first.Value.Blob.LengthBytes;
        if (chunk <= 0) throw new ImageException($"'{first.Value.Blob.Name}' is empty. Say how long chunks are: --chunk-size.");
        if (last!.Value.Index > (long.MaxValue >> 1) / chunk) throw new ImageException($"'{last.Value.Blob.Name}' would be past the end of any disk.");
        var image = new ChunkedImage(store, layout, chunk, sizeBytes ?? (last.Value.Index * chunk) + last.Value.Blob.LengthBytes);
        image.Check(first.Value.Index, first.Value.Blob);
        image.Check(last.Value.Index, last.Value.Blob);
        if ((image.SizeBytes - 1) / chunk > layout.IndexMax) throw new ImageException($"A disk of {image.SizeBytes} bytes has more chunks of {chunk} bytes than names of the form '{layout}'.");
        return image;
    }

    public override async ValueTask<ImageExtent> FindAsync(long offsetBytes, CancellationToken cancellationToken)
    {
        var chunk = offsetBytes / _chunkBytes;
        var left = SizeBytes - offsetBytes;
        if (_listing is not null && chunk < _asked) await RewindAsync();
        _asked = chunk;
        if (_listing is null || (_next >= 0 && _next < chunk)) await AdvanceAsync(chunk, cancellationToken);
        if (_next < 0) return new ImageExtent(left, true);
        if (_next == chunk) return new ImageExtent(Math.Min(left, ((chunk + 1) * _chunkBytes) - offsetBytes), false);
        return new ImageExtent(Math.Min(left, (_next * _chunkBytes) - offsetBytes), true);
    }

    public override async ValueTask ReadAsync(long offsetBytes, Memory<byte> destination, CancellationToken cancellationToken)
    {
        while (destination.Length > 0)
        {
            var chunk = offsetBytes / _chunkBytes;
            var inChunk = offsetBytes % _chunkBytes;
            var part = destination[..(int)Math.Min(destination.Length, _chunkBytes - inChunk)];
            var read = 0;
            try
            {
                read = await _store.ReadAsync(_layout.Key(chunk), inChunk, part, cancellationToken);
            }
            catch (BlobStoreException e) when (e.Kind == BlobErrorKind.NotFound)
            {
                // Nothing is stored of what is zero.
            }

            part.Span[read..].Clear();
            destination = destination[part.Length..];
            offsetBytes += part.Length;
        }
    }

    public override async ValueTask DisposeAsync()
    {
        await RewindAsync();
        await base.DisposeAsync();
    }

    private async ValueTask RewindAsync()
    {
        if (_listing is { } listing) await listing.DisposeAsync();
        _listing = null;
    }

    /// <summary>Moves to the first chunk from <paramref name="chunk"/> on that has an object.</summary>
    private async ValueTask AdvanceAsync(long chunk, CancellationToken cancellationToken)
    {
        _listing ??= _store.ListAsync(_layout.Prefix, chunk == 0 ? null : _layout.Key(chunk - 1).Value, cancellationToken).GetAsyncEnumerator(cancellationToken);
        while (await _listing.MoveNextAsync())
        {
            if (!_layout.TryParse(_listing.Current.Name, out var index) || index < chunk) continue;
            Check(index, _listing.Current);
            _next = index;
            return;
        }

        _next = -1;
    }

    /// <exception cref="ImageException">The object is not what its chunk is long.</exception>
    private void Check(long index, BlobInfo blob)
    {
        if (index * _chunkBytes >= SizeBytes) return; // Past the end that was asked for.
        var whole = Math.Min(_chunkBytes, SizeBytes - (index * _chunkBytes));
        if (blob.LengthBytes == _chunkBytes || blob.LengthBytes == whole) return;
        throw new ImageException($"'{blob.Name}' has {blob.LengthBytes} bytes, and a chunk has {_chunkBytes}. If --chunk-size is right, the chunks are compressed or encrypted: import the disk through the program that made them (mount it, and import the file as raw).");
    }
}
