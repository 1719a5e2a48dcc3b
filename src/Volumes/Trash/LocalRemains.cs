using Gateway.Volumes.Leases;

namespace Gateway.Volumes.Trash;

/// <summary>What a purged volume left on this host.</summary>
/// <param name="Removed">Files that are gone now.</param>
/// <param name="Kept">Files that were left: in use, or journals that were kept aside, which no code ever removes.</param>
public sealed record LocalRemains(IReadOnlyList<string> Removed, IReadOnlyList<string> Kept)
{
    /// <summary>Removes a volume's journal and cache file from this host, if they are there and nobody has them open.</summary>
    /// <param name="volumeId">The volume, which is gone from the bucket.</param>
    /// <param name="journalDirectory">Where journals are; null: there are none.</param>
    /// <param name="cacheDirectory">Where cache files are; null: there are none.</param>
    public static LocalRemains Remove(Guid volumeId, string? journalDirectory, string? cacheDirectory)
    {
        var (removed, kept) = (new List<string>(), new List<string>());
        if (journalDirectory is not null)
        {
            Remove(Path.Combine(journalDirectory, JournalShelf.NameOf(volumeId)), removed, kept);
            Remove(Path.Combine(journalDirectory, JournalShelf.NameOf(volumeId) + ".new"), removed, kept);
            kept.AddRange(JournalInspector.KeptAside(journalDirectory, volumeId));
        }

        if (cacheDirectory is not null) Remove(Path.Combine(cacheDirectory, $"{volumeId}.cache"), removed, kept);
        return new LocalRemains(removed, kept);
    }

    private static void Remove(string file, List<string> removed, List<string> kept)
    {
        if (!File.Exists(file)) return;
        try
        {
            // A process that has it open has it locked (flock), and so do we until it is gone.
            using var locked = File.OpenHandle(file, FileMode.Open, FileAccess.ReadWrite, FileShare.None);
            File.Delete(file);
            removed.Add(file);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            kept.Add(file);
        }
    }
}
