using System.Buffers.Binary;

namespace Gateway.Transfer.Images;

/// <summary>The header of a qcow2 image, versions 2 and 3 (QEMU, docs/interop/qcow2.txt), checked. Numbers in the file are big-endian.</summary>
internal readonly record struct Qcow2Header
{
    /// <summary>"QFI" and 0xFB.</summary>
    public const uint Magic = 0x5146_49FB;

    /// <summary>As much of the file as the fields here take.</summary>
    public const int LengthBytes = 112;

    /// <summary>Bytes of the version 2 header.</summary>
    private const int Version2Bytes = 72;

    private const int ClusterBitsMin = 9;
    private const int ClusterBitsMax = 21;

    /// <summary>QEMU's own limit for the first table: 32 MiB.</summary>
    private const uint L1EntriesMax = (32 << 20) / sizeof(ulong);

    private const ulong Corrupt = 1 << 1;
    private const ulong ExternalData = 1 << 2;
    private const ulong CompressionType = 1 << 3;
    private const ulong ExtendedL2 = 1 << 4;
    private const ulong Dirty = 1 << 0;
    private const ulong Known = Dirty | Corrupt | ExternalData | CompressionType | ExtendedL2;

    public required int ClusterBits { get; init; }

    /// <summary>Capacity of the disk in bytes.</summary>
    public required long SizeBytes { get; init; }

    public required int L1Entries { get; init; }

    public required long L1Offset { get; init; }

    /// <summary>True if compressed clusters hold zstd frames; else raw deflate.</summary>
    public required bool IsZstd { get; init; }

    /// <summary>True if an entry of a second table has a second word, with two bits for each of 32 subclusters.</summary>
    public required bool HasSubclusters { get; init; }

    public int ClusterBytes => 1 << ClusterBits;

    public int L2EntryBytes => HasSubclusters ? 16 : 8;

    /// <summary>Entries of a second table, which takes one cluster.</summary>
    public int L2Entries => ClusterBytes / L2EntryBytes;

    public static bool IsQcow2(ReadOnlySpan<byte> file) => file.Length >= sizeof(uint) && BinaryPrimitives.ReadUInt32BigEndian(file) == Magic;

    /// <exception cref="ImageException">Not qcow2, damaged, or with something that cannot be imported.</exception>
    public static Qcow2Header Parse(ReadOnlySpan<byte> file, string path)
    {
        if (file.Length < Version2Bytes || !IsQcow2(file)) throw new ImageException($"'{path}' is no qcow2 image.");
        var version = BinaryPrimitives.ReadUInt32BigEndian(file[4..]);
        if (version is not (2 or 3)) throw new ImageException($"'{path}' is a qcow2 image of version {version}; versions 2 and 3 are known. Convert it: qemu-img convert -O qcow2.");
        var backing = BinaryPrimitives.ReadUInt64BigEndian(file[8..]);
        var clusterBits = BinaryPrimitives.ReadUInt32BigEndian(file[20..]);
        var size = BinaryPrimitives.ReadUInt64BigEndian(file[24..]);
        var encryption = BinaryPrimitives.ReadUInt32BigEndian(file[32..]);
        var l1Entries = BinaryPrimitives.ReadUInt32BigEndian(file[36..]);
        var l1Offset = BinaryPrimitives.ReadUInt64BigEndian(file[40..]);
        ulong features = 0;
        var isZstd = false;
        if (version == 3)
        {
            if (file.Length < LengthBytes) throw Damaged(path, "it ends within its header");
            features = BinaryPrimitives.ReadUInt64BigEndian(file[72..]);
            if ((features & CompressionType) != 0)
            {
                var type = BinaryPrimitives.ReadUInt32BigEndian(file[100..]) > 104 ? file[104] : (byte)0;
                if (type > 1) throw new ImageException($"'{path}' is compressed in a way that is not known ({type}). Convert it: qemu-img convert -O qcow2.");
                isZstd = type == 1;
            }
        }

        if ((features & ~Known) != 0) throw new ImageException($"'{path}' has qcow2 features that are not known (0x{features & ~Known:x}). Convert it: qemu-img convert -O qcow2.");
        if ((features & Corrupt) != 0) throw new ImageException($"'{path}' is marked as corrupt. Mend it first: qemu-img check -r all.");
        if ((features & ExternalData) != 0) throw new ImageException($"'{path}' has its data in another file. Put all in one: qemu-img convert -O qcow2.");
        if (backing != 0) throw new ImageException($"'{path}' holds only what differs from a backing file. Put all in one: qemu-img convert -O qcow2.");
        if (encryption != 0) throw new ImageException($"'{path}' is encrypted. Import a decrypted copy: qemu-img convert -O qcow2.");
        if (clusterBits is < ClusterBitsMin or > ClusterBitsMax) throw Damaged(path, "its cluster size cannot be");
        var hasSubclusters = (features & ExtendedL2) != 0;
        if (hasSubclusters && clusterBits < 14) throw Damaged(path, "its clusters are too small for subclusters");
        if (size == 0) throw new ImageException($"'{path}' is a disk of no bytes: there is nothing to import.");
        var header = new Qcow2Header
        {
            ClusterBits = (int)clusterBits,
            SizeBytes = size <= long.MaxValue >> 1 ? (long)size : throw Damaged(path, "its size cannot be"),
            L1Entries = l1Entries <= L1EntriesMax ? (int)l1Entries : throw Damaged(path, "its first table is too long"),
            L1Offset = l1Offset <= long.MaxValue ? (long)l1Offset : throw Damaged(path, "its first table cannot be where it says"),
            IsZstd = isZstd,
            HasSubclusters = hasSubclusters,
        };
        var covered = (UInt128)l1Entries * (ulong)header.L2Entries * (ulong)header.ClusterBytes;
        if (covered < size) throw Damaged(path, "its first table is shorter than its disk");
        if (header.L1Offset % header.ClusterBytes != 0) throw Damaged(path, "its first table is not at the beginning of a cluster");
        return header;
    }

    public static ImageException Damaged(string path, string what, Exception? inner = null) =>
        new($"'{path}' is damaged: {what}. 'qemu-img check' tells more.", inner);
}
