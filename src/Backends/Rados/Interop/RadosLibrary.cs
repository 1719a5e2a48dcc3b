using System.Runtime.InteropServices;
using Gateway.Backends.Core;

namespace Gateway.Backends.Rados.Interop;

/// <summary>Whether librados is on this machine. It is loaded when a rados store is first used, and nothing else needs it.</summary>
internal static class RadosLibrary
{
    /// <summary>A function that came with Ceph 14; all others are older.</summary>
    private const string NewestFunction = "rados_write_op_omap_cmp2";

    private static volatile bool _isThere;

    /// <exception cref="BlobStoreException">It cannot be loaded; the message says what to install. It is looked for again each time.</exception>
    public static void Require(string store)
    {
        if (_isThere) return;
        if (!NativeLibrary.TryLoad(Librados.Library, typeof(RadosLibrary).Assembly, null, out var library))
            throw new BlobStoreException(BlobErrorKind.Rejected,
                $"{store}: {Librados.Library} cannot be loaded on this machine. Install it: apt-get install librados2 (Debian, Ubuntu) or dnf install librados2 (Fedora, RHEL).");
        if (!NativeLibrary.TryGetExport(library, NewestFunction, out _))
            throw new BlobStoreException(BlobErrorKind.Rejected, $"{store}: the {Librados.Library} of this machine is too old. Install librados2 of Ceph 15 or later.");
        _isThere = true; // It stays loaded: the calls have it by its name.
    }
}
