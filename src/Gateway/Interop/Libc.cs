using System.Runtime.InteropServices;

namespace Gateway.Interop;

/// <summary>Calls of the C library, each beside its declaration.</summary>
internal static partial class Libc
{
    /// <summary>An owner or group that stays as it is.</summary>
    public const uint Unchanged = uint.MaxValue;

    // int chown(const char *pathname, uid_t owner, gid_t group);
    [LibraryImport("libc", EntryPoint = "chown", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    public static partial int Chown(string path, uint owner, uint group);
}
