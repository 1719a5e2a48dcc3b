namespace Gateway.Lio;

/// <summary>Which objects in configfs are this gateway's: each has a mark, an empty ALUA logical unit group named after it.</summary>
/// <remarks>
/// A mark is made before its object and removed after it, so an object of ours without a mark does not exist, whenever the gateway died. It lives
/// in the kernel beside the object and goes with it at a reboot, which a file would survive. A group that no device is put into has no effect.
/// </remarks>
internal static class OwnershipMarks
{
    public const string Directory = "core/alua/lu_gps";

    private const string Prefix = "tcmu-gateway~";
    private const char Separator = '~'; // Stands for the slash; no name that we mark has it.

    /// <summary>The mark's path below the target's root, for the path of an object below it.</summary>
    public static string PathOf(string objectPath) => $"{Directory}/{Prefix}{objectPath.Replace('/', Separator)}";

    /// <summary>True if an object's path can be turned into a mark and back.</summary>
    public static bool CanMark(string objectPath) => !objectPath.Contains(Separator, StringComparison.Ordinal) && objectPath.Length + Prefix.Length <= 255;

    /// <summary>The paths of the marked objects, below the target's root.</summary>
    public static IEnumerable<string> Decode(IEnumerable<string> groups) =>
        groups.Where(name => name.StartsWith(Prefix, StringComparison.Ordinal)).Select(name => name[Prefix.Length..].Replace(Separator, '/'));
}
