using System.Buffers.Binary;
using System.Globalization;
using System.IO.Compression;

namespace Gateway.Transfer.Images;

/// <summary>
/// A qcow2 image (QEMU, docs/interop/qcow2.txt): versions 2 and 3, compressed clusters (deflate, zstd), subclusters. Its internal snapshots are left out:
/// what is read is the disk as it is now. Nothing in the file is believed: every offset is checked.
/// </summary>
/// <remarks>Images with a backing file or an external data file are refused: a path in an image from elsewhere could name any file of this host.</remarks>
public sealed class Qcow2Image : DiskImage
{
    private const string Format = "qcow2";
    private const ulong OffsetMask = 0x00FF_FFFF_FFFF_FE00;
    private const ulong IsCompressed = 1UL << 62;
    private const ulong ReadsAsZero = 1;
    private const int Subclusters = 32;
    private const int SectorBytes = 512;
    private const int TablesMax = 64;

    private readonly ImageFile _file;
    private readonly Qcow2Header _header;
    private readonly ulong[] _l1;
    private readonly Lock _gate = new();
    private readonly Dictionary<int, byte[]> _tables = [];
    private readonly Queue<int> _tableOrder = new();
    private (long Cluster, byte[] Content)? _lastCompressed;

    private Qcow2Image(ImageFile file, in Qcow2Header header, ulong[] l1)
    {
        (_file, _header, _l1) = (file, header, l1);
        Identity = file.Describe(Format);
    }

    public override string Identity { get; }

    public override long SizeBytes => _header.SizeBytes;

    /// <exception cref="ImageException">It cannot be opened, is damaged, or has something that cannot be imported.</exception>
    public static async Task<Qcow2Image> OpenAsync(string path, CancellationToken cancellationToken)
    {
        var file = ImageFile.Open(path);
        try
        {
            var bytes = new byte[Qcow2Header.LengthBytes];
            var read = await file.ReadAsync(0, bytes, cancellationToken);
            var header = Qcow2Header.Parse(bytes.AsSpan(0, read), file.Path);
            var l1 = new ulong[header.L1Entries];
            var table = new byte[l1.Length * sizeof(ulong)];
            if (await file.ReadAsync(header.L1Offset, table, cancellationToken) < table.Length) throw Qcow2Header.Damaged(file.Path, "it ends before its first table does");
            for (var i = 0; i < l1.Length; i++) l1[i] = BinaryPrimitives.ReadUInt64BigEndian(table.AsSpan(i * sizeof(ulong)));
            return new Qcow2Image(file, header, l1);
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <summary>Whether a file begins as qcow2 images do.</summary>
    /// <exception cref="ImageException">It cannot be read.</exception>
    public static async Task<bool> IsQcow2Async(string path, CancellationToken cancellationToken)
    {
        using var file = ImageFile.Open(path);
        var magic = new byte[sizeof(uint)];
        return await file.ReadAsync(0, magic, cancellationToken) == magic.Length && Qcow2Header.IsQcow2(magic);
    }

    public override async ValueTask<ImageExtent> FindAsync(long offsetBytes, CancellationToken cancellationToken)
    {
        var (length, piece) = await LocateAsync(offsetBytes, cancellationToken);
        while (offsetBytes + length < SizeBytes)
        {
            var (more, next) = await LocateAsync(offsetBytes + length, cancellationToken);
            if (next.IsZero != piece.IsZero) break;
            length += more;
            if (!piece.IsZero && length >= _header.ClusterBytes) break; // Long enough to be read; the next call finds the rest.
        }

        return new ImageExtent(length, piece.IsZero);
    }

    public override async ValueTask ReadAsync(long offsetBytes, Memory<byte> destination, CancellationToken cancellationToken)
    {
        while (destination.Length > 0)
        {
            var (length, piece) = await LocateAsync(offsetBytes, cancellationToken);
            var part = destination[..(int)Math.Min(length, destination.Length)];
            if (piece.IsZero) part.Span.Clear();
            else if (piece.CompressedBytes > 0) await ReadCompressedAsync(offsetBytes, piece, part, cancellationToken);
            else await _file.ReadAsync(piece.FileOffset, part, cancellationToken); // What lies past the end of the file reads as zeroes, as in QEMU.
            destination = destination[part.Length..];
            offsetBytes += part.Length;
        }
    }

    public override string CurrentIdentity() => _file.Describe(Format);

    public override ValueTask DisposeAsync()
    {
        _file.Dispose();
        return base.DisposeAsync();
    }

    /// <summary>Where the bytes from an offset on are, as far as they are in one place.</summary>
    private async ValueTask<(long LengthBytes, Piece Piece)> LocateAsync(long offset, CancellationToken cancellationToken)
    {
        var cluster = offset >> _header.ClusterBits;
        var inCluster = (int)(offset & (_header.ClusterBytes - 1));
        var left = Math.Min(_header.ClusterBytes - inCluster, SizeBytes - offset);
        var l1Index = (int)(cluster / _header.L2Entries);
        var tableOffset = _l1[l1Index] & OffsetMask;
        if (tableOffset == 0)
        {
            var end = (l1Index + 1L) * _header.L2Entries << _header.ClusterBits;
            return (Math.Min(end, SizeBytes) - offset, Piece.Zero);
        }

        var table = await LoadTableAsync(l1Index, (long)tableOffset, cancellationToken);
        var at = (int)(cluster % _header.L2Entries) * _header.L2EntryBytes;
        var entry = BinaryPrimitives.ReadUInt64BigEndian(table.AsSpan(at));
        if ((entry & IsCompressed) != 0) return (left, Compressed(entry, offset));
        var host = (long)(entry & OffsetMask);
        if (!_header.HasSubclusters)
        {
            if (host == 0 || (entry & ReadsAsZero) != 0) return (left, Piece.Zero);
            return (left, Plain(host, inCluster, offset));
        }

        var bits = BinaryPrimitives.ReadUInt64BigEndian(table.AsSpan(at + sizeof(ulong)));
        var subclusterBytes = _header.ClusterBytes / Subclusters;
        var subcluster = inCluster / subclusterBytes;
        var subLeft = Math.Min(subclusterBytes - (inCluster % subclusterBytes), left);
        var isAllocated = (bits >> subcluster & 1) != 0;
        var isZero = (bits >> (subcluster + Subclusters) & 1) != 0;
        if (isAllocated && (isZero || host == 0)) throw Damaged(offset, "a subcluster is in two states");
        return (subLeft, isAllocated ? Plain(host, inCluster, offset) : Piece.Zero);
    }

    private Piece Plain(long host, int inCluster, long offset)
    {
        if (host % _header.ClusterBytes != 0) throw Damaged(offset, "a cluster is not where clusters can be");
        if (host >= _file.LengthBytes) throw Damaged(offset, "a cluster is past the end of the file");
        return new Piece(false, host + inCluster, 0);
    }

    private Piece Compressed(ulong entry, long offset)
    {
        var sizeShift = 62 - (_header.ClusterBits - 8);
        var host = (long)(entry & ((1UL << sizeShift) - 1));
        var sectors = (int)((entry & (IsCompressed - 1)) >> sizeShift) + 1;
        if (host >= _file.LengthBytes) throw Damaged(offset, "a compressed cluster is past the end of the file");
        return new Piece(false, host, sectors * SectorBytes - (int)(host % SectorBytes));
    }

    private async ValueTask ReadCompressedAsync(long offset, Piece piece, Memory<byte> destination, CancellationToken cancellationToken)
    {
        var cluster = offset >> _header.ClusterBits;
        var inCluster = (int)(offset & (_header.ClusterBytes - 1));
        (long Cluster, byte[] Content)? last;
        lock (_gate) last = _lastCompressed;
        if (last?.Cluster != cluster)
        {
            var packed = new byte[piece.CompressedBytes];
            var read = await _file.ReadAsync(piece.FileOffset, packed, cancellationToken);
            last = (cluster, Expand(packed, read, offset));
            lock (_gate) _lastCompressed = last;
        }

        last.Value.Content.AsMemory(inCluster, destination.Length).CopyTo(destination);
    }

    private byte[] Expand(byte[] packed, int length, long offset)
    {
        var content = new byte[_header.ClusterBytes];
        using var source = new MemoryStream(packed, 0, length);
        try
        {
            using Stream expanded = _header.IsZstd ? new ZstdSharp.DecompressionStream(source) : new DeflateStream(source, CompressionMode.Decompress);
            expanded.ReadExactly(content);
            return content;
        }
        catch (Exception e) when (e is InvalidDataException or EndOfStreamException or ZstdSharp.ZstdException)
        {
            throw Damaged(offset, "a compressed cluster cannot be expanded", e);
        }
    }

    private async ValueTask<byte[]> LoadTableAsync(int index, long offset, CancellationToken cancellationToken)
    {
        lock (_gate)
        {
            if (_tables.TryGetValue(index, out var known)) return known;
        }

        if (offset % _header.ClusterBytes != 0) throw Damaged((long)index * _header.L2Entries << _header.ClusterBits, "a table is not where tables can be");
        var table = new byte[_header.ClusterBytes];
        if (await _file.ReadAsync(offset, table, cancellationToken) < table.Length) throw Damaged((long)index * _header.L2Entries << _header.ClusterBits, "a table is past the end of the file");
        lock (_gate)
        {
            if (!_tables.TryAdd(index, table)) return _tables[index];
            _tableOrder.Enqueue(index);
            if (_tableOrder.Count > TablesMax) _tables.Remove(_tableOrder.Dequeue());
            return table;
        }
    }

    private ImageException Damaged(long offset, string what, Exception? inner = null) =>
        Qcow2Header.Damaged(_file.Path, string.Create(CultureInfo.InvariantCulture, $"at byte {offset} of the disk, {what}"), inner);

    /// <param name="IsZero">Nothing is stored.</param>
    /// <param name="FileOffset">Where it is in the file.</param>
    /// <param name="CompressedBytes">Upper bound of what its cluster takes there, compressed; 0: it is stored as it is.</param>
    private readonly record struct Piece(bool IsZero, long FileOffset, int CompressedBytes)
    {
        public static readonly Piece Zero = new(true, 0, 0);
    }
}
