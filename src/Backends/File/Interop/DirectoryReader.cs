using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Gateway.Backends.File.Interop;

/// <summary>The names in an open directory.</summary>
internal static class DirectoryReader
{
    // struct dirent of 64-bit Linux: u64 d_ino, s64 d_off, u16 d_reclen, u8 d_type, char d_name[].
    private const int TypeOffset = 18, NameOffset = 19;

    /// <summary>All entries but "." and "..", in no order, with their DT_ type, which some file systems leave DT_UNKNOWN.</summary>
    /// <returns>0, or errno.</returns>
    public static int TryRead(SafeFileHandle directory, List<(string Name, byte Type)> entries)
    {
        // A fresh descriptor: duplicates would share, and move, one position.
        using var own = LibC.OpenAt(directory, ".", LibC.O_RDONLY | LibC.O_DIRECTORY | LibC.O_CLOEXEC, 0);
        if (own.IsInvalid) return Marshal.GetLastPInvokeError();
        var descriptor = LibC.Duplicate(own);
        if (descriptor < 0) return Marshal.GetLastPInvokeError();
        var stream = LibC.OpenDirectoryStream(descriptor);
        if (stream == 0)
        {
            var error = Marshal.GetLastPInvokeError();
            _ = LibC.Close(descriptor);
            return error;
        }

        try
        {
            while (true)
            {
                // SetLastError clears errno before the call, which is how the end is told from an error.
                var entry = LibC.ReadDirectory(stream);
                if (entry == 0) return Marshal.GetLastPInvokeError();
                var name = Marshal.PtrToStringUTF8(entry + NameOffset)!;
                if (name is not ("." or "..")) entries.Add((name, Marshal.ReadByte(entry, TypeOffset)));
            }
        }
        finally
        {
            _ = LibC.CloseDirectoryStream(stream);
        }
    }
}
