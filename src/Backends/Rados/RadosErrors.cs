using System.Runtime.InteropServices;
using Gateway.Backends.Core;

namespace Gateway.Backends.Rados;

/// <summary>errno of librados to <see cref="BlobErrorKind"/>, in words that say what to do. docs/backends.md has the table.</summary>
internal static class RadosErrors
{
    public const int EPERM = 1, ENOENT = 2, EIO = 5, EAGAIN = 11, EACCES = 13, EBUSY = 16, EEXIST = 17, EINVAL = 22, EFBIG = 27, ENOSPC = 28, EROFS = 30, ENAMETOOLONG = 36, EMSGSIZE = 90,
        EOPNOTSUPP = 95, ENOTCONN = 107, ESHUTDOWN = 108, ETIMEDOUT = 110, ECONNREFUSED = 111, EDQUOT = 122, ECANCELED = 125;

    /// <param name="errno">As <see cref="RadosException.Errno"/>.</param>
    /// <param name="what">Store and blob, for people.</param>
    /// <param name="action">What was being done: "reading", say.</param>
    /// <param name="options">For the advice.</param>
    public static BlobStoreException From(int errno, string what, string action, RadosStoreOptions options)
    {
        if (errno == RadosException.PoolMissing) return PoolMissing(what, options.IndexPool is { } index ? $"{options.Pool}' or '{index}" : options.Pool);
        var (kind, advice) = errno switch
        {
            ENOENT => (BlobErrorKind.NotFound, "There is no such blob."),
            EEXIST => (BlobErrorKind.PreconditionFailed, "The blob exists already."),
            EACCES or EPERM => (BlobErrorKind.AccessDenied, $"The capabilities of client.{options.User} do not allow it: it needs mon 'allow r' and osd 'allow rw pool={options.Pool}' (ceph auth caps)."),
            EROFS => (BlobErrorKind.AccessDenied, "The pool may not be written: look at ceph health detail."),
            EBUSY or EAGAIN => (BlobErrorKind.Throttled, "The cluster asks to come again later."),
            ETIMEDOUT => NoAnswer(options),
            ENOTCONN or ECONNREFUSED => (BlobErrorKind.Unavailable, "There is no connection to the cluster: check the network and ceph health."),
            ESHUTDOWN => (BlobErrorKind.Unavailable, "The cluster has cut this client off (ceph osd blocklist ls). The next request connects anew."),
            ENOSPC => (BlobErrorKind.Unavailable, "The cluster or the pool is full (ceph df): add or free some space."),
            EDQUOT => (BlobErrorKind.Unavailable, "The pool's quota is used up (ceph osd pool get-quota): raise it, or free some space."),
            EIO => (BlobErrorKind.Unavailable, "An OSD cannot read or write its disk: look at ceph health detail."),
            EFBIG or EMSGSIZE => (BlobErrorKind.Rejected, "The blob is larger than the cluster takes: raise osd_max_object_size and osd_max_write_size."),
            ENAMETOOLONG => (BlobErrorKind.Rejected, "The name is longer than the cluster takes: raise osd_max_object_name_len."),
            EOPNOTSUPP => (BlobErrorKind.Rejected, $"The pool '{options.IndexPool ?? options.Pool}' takes no omap, as erasure-coded pools do not: name a replicated one for the index (indexPool)."),
            EINVAL => (BlobErrorKind.Rejected, "The cluster does not take the request: check the pool."),
            _ => (BlobErrorKind.Unavailable, "Look at ceph health detail."),
        };
        return new BlobStoreException(kind, $"{what}: {action} failed: {Words(errno)}. {advice}");
    }

    /// <summary>For an attempt that took as long as it may.</summary>
    public static BlobStoreException TimedOut(string what, string action, RadosStoreOptions options)
    {
        var (kind, advice) = NoAnswer(options);
        return new BlobStoreException(kind, $"{what}: {action} failed: {advice}");
    }

    /// <summary>For a connection that does not come about.</summary>
    public static BlobStoreException Connecting(int errno, string what, RadosStoreOptions options)
    {
        var (kind, advice) = errno switch
        {
            EACCES or EPERM => (BlobErrorKind.AccessDenied, $"The cluster does not accept the key of client.{options.User}: check the user and the keyring."),
            ENOENT => (BlobErrorKind.AccessDenied, $"No keyring has a key of client.{options.User}, or no monitor is named: set keyringFile, and monitors or configurationFile."),
            EIO => (BlobErrorKind.AccessDenied, $"No key could be taken from the keyring of client.{options.User}: check what is in it (ceph auth get)."),
            ETIMEDOUT => (BlobErrorKind.Unavailable, $"No monitor answered within {options.ConnectTimeout.TotalSeconds:0.#} s: check the network, the monitors' addresses, and that they run."),
            EINVAL => (BlobErrorKind.Rejected, "Check the user, the monitors' addresses and the keyring's form."),
            _ => (BlobErrorKind.Unavailable, "Check the network and the monitors' addresses."),
        };
        return new BlobStoreException(kind, $"{what}: connecting failed: {Words(errno)}. {advice}");
    }

    public static BlobStoreException PoolMissing(string what, string pool) =>
        new(BlobErrorKind.ContainerMissing, $"{what}: there is no pool '{pool}'. Create it (ceph osd pool create), or correct the configuration.");

    /// <summary>For an index object with foreign content.</summary>
    public static BlobStoreException IndexDamaged(string what, string objectName) =>
        new(BlobErrorKind.Corrupt, $"{what}: the index object '{objectName}' holds an entry that this version does not know. Something else writes to this namespace, or a newer gateway did: give the store a namespace of its own.");

    private static (BlobErrorKind Kind, string Advice) NoAnswer(RadosStoreOptions options) =>
        (BlobErrorKind.Unavailable, $"no answer within {options.RequestTimeout.TotalSeconds:0.#} s. Check the network and ceph health, or raise requestTimeoutSeconds.");

    private static string Words(int errno) => $"{Marshal.GetPInvokeErrorMessage(errno)} (errno {errno})";
}
