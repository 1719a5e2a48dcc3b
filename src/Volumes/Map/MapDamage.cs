namespace Gateway.Volumes.Map;

/// <summary>What is said of a piece of the map that passed its checksum and makes no sense.</summary>
internal static class MapDamage
{
    public static VolumeException Of(string piece, PiecePointer from, string why) => new(
        VolumeErrorKind.Damaged,
        $"The map is damaged: {piece}, in map blob {from.Blob} at byte {from.OffsetBytes}, {why}. Nothing was changed. Restore the volume's objects below 'map/' and 'checkpoints/' from a backup or older object versions, then try again.");
}
