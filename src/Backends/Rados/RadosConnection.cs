using System.Globalization;
using Gateway.Backends.Core;
using Gateway.Backends.Rados.Interop;

namespace Gateway.Backends.Rados;

/// <summary>A client of a cluster, connected, with the pools of one store.</summary>
internal sealed class RadosConnection : IRadosConnection
{
    private readonly RadosClusterHandle _cluster;
    private readonly RadosPoolHandle _pool;
    private readonly RadosPoolHandle _indexPool;

    private RadosConnection(RadosClusterHandle cluster, RadosPoolHandle pool, RadosPoolHandle indexPool, RadosStoreOptions options)
    {
        (_cluster, _pool, _indexPool) = (cluster, pool, indexPool);
        Blobs = new RadosObjects(cluster, pool, options.Pool);
        Entries = new RadosObjects(cluster, indexPool, options.IndexPool ?? options.Pool);
    }

    public IRadosObjects Blobs { get; }

    public IRadosObjects Entries { get; }

    /// <summary>Blocks until a monitor has answered, or for the connect timeout.</summary>
    /// <exception cref="BlobStoreException">There is no connection, or no such pool.</exception>
    public static RadosConnection Open(RadosStoreOptions options, string description)
    {
        RadosLibrary.Require(description);
        var code = Librados.Create(out var cluster, "ceph", "client." + options.User, 0);
        RadosPoolHandle? pool = null;
        try
        {
            if (code < 0) throw RadosErrors.Connecting(-code, description, options);
            Configure(cluster, options, description);
            code = Librados.Connect(cluster);
            if (code < 0) throw RadosErrors.Connecting(-code, description, options);
            pool = OpenPool(cluster, options.Pool, options, description);
            return new RadosConnection(cluster, pool, OpenPool(cluster, options.IndexPool ?? options.Pool, options, description), options);
        }
        catch
        {
            pool?.Dispose();
            cluster.Dispose();
            throw;
        }
    }

    /// <summary>Operations in progress end first; the last one takes the rest down.</summary>
    public void Dispose()
    {
        _pool.Dispose();
        _indexPool.Dispose();
        _cluster.Dispose();
    }

    private static void Configure(RadosClusterHandle cluster, RadosStoreOptions options, string description)
    {
        var file = options.ConfigurationFile ?? (options.Monitors is null ? RadosStoreOptions.ConfigurationFileDefault : null);
        if (file is not null && Librados.ReadConfiguration(cluster, file) is < 0 and var code)
            throw new BlobStoreException(BlobErrorKind.Rejected, $"{description}: Ceph's configuration file {file} cannot be read (errno {-code}): copy it from the cluster, readable by this process's user, or name the monitors.");
        if (options.KeyringFile is { } keyring)
        {
            RequireReadable(keyring, description);
            Set("keyring", keyring);
        }

        if (options.Monitors is { } monitors) Set("mon_host", monitors);
        Set("client_mount_timeout", Seconds(options.ConnectTimeout));
        Set("rados_mon_op_timeout", Seconds(options.RequestTimeout));
        // Also keeps librados from writing into a reader's memory while it comes off the line.
        Set("rados_osd_op_timeout", Seconds(options.RequestTimeout));
        // At these many operations or bytes in progress librados blocks who starts one: what stands before the store has limits of its own, far below.
        Set("objecter_inflight_ops", "100000");
        Set("objecter_inflight_op_bytes", (64L << 30).ToString(CultureInfo.InvariantCulture));
        // A library writes into no file, socket or terminal of ours.
        Set("log_to_stderr", "false");
        Set("err_to_stderr", "false");
        Set("log_file", "");
        Set("admin_socket", "");

        void Set(string option, string value)
        {
            if (Librados.SetConfiguration(cluster, option, value) is < 0 and var fault)
                throw new BlobStoreException(BlobErrorKind.Rejected, $"{description}: librados does not take '{value}' for {option} (errno {-fault}).");
        }
    }

    private static RadosPoolHandle OpenPool(RadosClusterHandle cluster, string name, RadosStoreOptions options, string description)
    {
        var code = Librados.CreateIoContext(cluster, name, out var pool);
        if (code < 0)
        {
            pool.Dispose();
            throw code == -RadosErrors.ENOENT ? RadosErrors.PoolMissing(description, name) : RadosErrors.Connecting(-code, description, options);
        }

        pool.Keep(cluster);
        Librados.SetNamespace(pool, options.Namespace);
        return pool;
    }

    /// <summary>librados does not tell a keyring that is missing from other things that are.</summary>
    private static void RequireReadable(string path, string description)
    {
        try
        {
            File.OpenHandle(path).Dispose();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new BlobStoreException(BlobErrorKind.AccessDenied, $"{description}: the keyring {path} cannot be read: put it there (ceph auth get client.NAME), readable by this process's user. {e.Message}");
        }
    }

    private static string Seconds(TimeSpan time) => Math.Ceiling(time.TotalSeconds).ToString(CultureInfo.InvariantCulture);
}
