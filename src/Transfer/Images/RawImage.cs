namespace Gateway.Transfer.Images;

/// <summary>A file or a block device whose bytes are the disk's. Holes of a sparse file are found without reading them.</summary>
public sealed class RawImage : DiskImage
{
    private const string Format = "raw";

    private readonly ImageFile _file;

    private RawImage(ImageFile file)
    {
        _file = file;
        Identity = file.Describe(Format);
    }

    public override string Identity { get; }

    public override long SizeBytes => _file.LengthBytes;

    /// <exception cref="ImageException">It cannot be opened, or is empty.</exception>
    public static RawImage Open(string path)
    {
        var file = ImageFile.Open(path);
        if (file.LengthBytes > 0) return new RawImage(file);
        file.Dispose();
        throw new ImageException($"'{file.Path}' is empty: there is nothing to import.");
    }

    public override ValueTask<ImageExtent> FindAsync(long offsetBytes, CancellationToken cancellationToken)
    {
        var left = SizeBytes - offsetBytes;
        if (!_file.TryFindData(offsetBytes, out var data)) return new(new ImageExtent(left, false));
        if (data > offsetBytes) return new(new ImageExtent(Math.Min(data - offsetBytes, left), true));
        return new(new ImageExtent(_file.TryFindHole(offsetBytes, out var hole) && hole > offsetBytes ? Math.Min(hole - offsetBytes, left) : left, false));
    }

    public override async ValueTask ReadAsync(long offsetBytes, Memory<byte> destination, CancellationToken cancellationToken)
    {
        if (await _file.ReadAsync(offsetBytes, destination, cancellationToken) < destination.Length)
            throw new ImageException($"'{_file.Path}' became shorter while it was read. Import a disk that nobody changes.");
    }

    public override string CurrentIdentity() => _file.Describe(Format);

    public override ValueTask DisposeAsync()
    {
        _file.Dispose();
        return base.DisposeAsync();
    }
}
