using System.Globalization;
using Gateway.Volumes.Journal;

namespace Gateway.Volumes.Leases;

/// <summary>Writes of a journal that are in no other place, and that nobody may replay: the volume was served elsewhere since.</summary>
/// <param name="Epoch">The journal's own last epoch.</param>
/// <param name="FirstWrite">The first of them; 0 if the journal lacks them itself.</param>
/// <param name="LastWrite">The last of them.</param>
internal readonly record struct KeptAside(long Epoch, long FirstWrite, long LastWrite);

/// <summary>Names of journals, and where those are kept that no volume may replay any more.</summary>
/// <remarks>A journal that is kept aside is only ever renamed: <c>&lt;volume&gt;.&lt;epoch&gt;[.&lt;n&gt;].aside.journal</c>. Nothing here removes or replaces one.</remarks>
internal static class JournalShelf
{
    public const string Suffix = ".journal";
    public const string AsideSuffix = ".aside.journal";

    public static string NameOf(Guid volumeId) => $"{volumeId}{Suffix}";

    /// <summary>Renames a volume's journal, which nobody has open, durably out of the way; returns its new name.</summary>
    /// <exception cref="IOException">The disk failed; the journal is as it was.</exception>
    public static string KeepAside(IJournalDirectory directory, Guid volumeId, long epoch)
    {
        for (var copy = 1; ; copy++)
        {
            var number = copy == 1 ? "" : string.Create(CultureInfo.InvariantCulture, $".{copy}");
            var aside = string.Create(CultureInfo.InvariantCulture, $"{volumeId}.{epoch}{number}{AsideSuffix}");
            if (directory.Exists(aside)) continue;
            directory.KeepAside(NameOf(volumeId), aside);
            return aside;
        }
    }

    /// <summary>True for a file of a volume that is kept aside.</summary>
    public static bool IsAside(string name) => name.EndsWith(AsideSuffix, StringComparison.Ordinal);
}
