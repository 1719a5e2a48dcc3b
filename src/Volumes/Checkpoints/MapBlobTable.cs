using Gateway.Volumes.Formats;
using Gateway.Volumes.Map;

namespace Gateway.Volumes.Checkpoints;

/// <summary>The blobs that hold the map's pieces, and how much of each is still in use. Guarded by the volume's gate.</summary>
internal sealed class MapBlobTable
{
    private readonly SortedDictionary<uint, MapBlobUse> _blobs = [];

    /// <summary>Number of the next blob. A number is never used twice, also not by a checkpoint that came to nothing.</summary>
    public uint NextNumber { get; private set; } = 1;

    public IReadOnlyCollection<MapBlobUse> Blobs => _blobs.Values;

    public long LengthBytes => _blobs.Values.Sum(b => (long)b.LengthBytes);

    public long LiveBytes => _blobs.Values.Sum(b => (long)b.LiveBytes);

    public void Restore(IEnumerable<MapBlobUse> blobs, uint nextNumber)
    {
        foreach (var blob in blobs) _blobs.Add(blob.Number, blob);
        NextNumber = nextNumber;
    }

    public uint TakeNumber() => NextNumber++;

    public bool TryGet(uint number, out MapBlobUse blob) => _blobs.TryGetValue(number, out blob);

    /// <summary>
    /// The table as it will be once a checkpoint is in force: with its blobs, without what it supersedes; and what then is in no use. A blob of
    /// which more is given up than was in use was counted wrong: something may still be in it, so it counts as all in use from then on.
    /// </summary>
    public (MapBlobUse[] Blobs, MapBlobUse[] Dead, uint[] Miscounted) After(IReadOnlyList<MapBlobUse> added, IEnumerable<PiecePointer> superseded)
    {
        var after = new SortedDictionary<uint, MapBlobUse>(_blobs);
        var miscounted = new SortedSet<uint>();
        foreach (var blob in added) after[blob.Number] = blob;
        foreach (var pointer in superseded)
        {
            if (!after.TryGetValue(pointer.Blob, out var blob)) continue;
            if (pointer.LengthBytes > blob.LiveBytes) miscounted.Add(blob.Number);
            else after[pointer.Blob] = blob with { LiveBytes = blob.LiveBytes - pointer.LengthBytes };
        }

        foreach (var number in miscounted) after[number] = after[number] with { LiveBytes = after[number].LengthBytes - MapBlobHeader.HeaderLengthBytes };
        return ([.. after.Values.Where(b => b.LiveBytes > 0)], [.. after.Values.Where(b => b.LiveBytes == 0)], [.. miscounted]);
    }

    public void Publish(IEnumerable<MapBlobUse> blobs)
    {
        _blobs.Clear();
        foreach (var blob in blobs) _blobs.Add(blob.Number, blob);
    }
}
