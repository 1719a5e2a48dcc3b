using System.Runtime.InteropServices;

namespace Gateway.Backends.Rados.Interop;

/// <summary>The functions of rados/librados.h that the store uses (Ceph 15 and later). Those that return an int return 0 or more, or a negative errno.</summary>
/// <remarks>
/// What goes into an operation (names, values, contents) is copied by librados while the function runs. What comes out of one (buffers, lengths, flags)
/// is written at any time until its completion is called, and never after.
/// </remarks>
internal static partial class Librados
{
    public const string Library = "librados.so.2";

    public const int CreateIdempotent = 0, CreateExclusive = 1; // LIBRADOS_CREATE_*
    public const byte CompareEqual = 1; // LIBRADOS_CMPXATTR_OP_EQ
    public const int FullTry = 64; // LIBRADOS_OPERATION_FULL_TRY: a full pool is an error at once, and not a wait for space.

    /// <summary><c>int rados_create2(rados_t *pcluster, const char *clustername, const char *name, uint64_t flags)</c></summary>
    [LibraryImport(Library, EntryPoint = "rados_create2", StringMarshalling = StringMarshalling.Utf8)]
    public static partial int Create(out RadosClusterHandle cluster, string clusterName, string name, ulong flags);

    /// <summary><c>int rados_conf_read_file(rados_t cluster, const char *path)</c></summary>
    [LibraryImport(Library, EntryPoint = "rados_conf_read_file", StringMarshalling = StringMarshalling.Utf8)]
    public static partial int ReadConfiguration(RadosClusterHandle cluster, string path);

    /// <summary><c>int rados_conf_set(rados_t cluster, const char *option, const char *value)</c></summary>
    [LibraryImport(Library, EntryPoint = "rados_conf_set", StringMarshalling = StringMarshalling.Utf8)]
    public static partial int SetConfiguration(RadosClusterHandle cluster, string option, string value);

    /// <summary><c>int rados_connect(rados_t cluster)</c>: blocks, for up to client_mount_timeout.</summary>
    [LibraryImport(Library, EntryPoint = "rados_connect")]
    public static partial int Connect(RadosClusterHandle cluster);

    /// <summary><c>void rados_shutdown(rados_t cluster)</c>: blocks until its threads have ended.</summary>
    [LibraryImport(Library, EntryPoint = "rados_shutdown")]
    public static partial void Shutdown(nint cluster);

    /// <summary><c>int rados_ioctx_create(rados_t cluster, const char *pool_name, rados_ioctx_t *ioctx)</c>: -ENOENT if there is no such pool.</summary>
    [LibraryImport(Library, EntryPoint = "rados_ioctx_create", StringMarshalling = StringMarshalling.Utf8)]
    public static partial int CreateIoContext(RadosClusterHandle cluster, string pool, out RadosPoolHandle context);

    /// <summary><c>void rados_ioctx_destroy(rados_ioctx_t io)</c></summary>
    [LibraryImport(Library, EntryPoint = "rados_ioctx_destroy")]
    public static partial void DestroyIoContext(nint pool);

    /// <summary><c>void rados_ioctx_set_namespace(rados_ioctx_t io, const char *nspace)</c>: before the first operation only.</summary>
    [LibraryImport(Library, EntryPoint = "rados_ioctx_set_namespace", StringMarshalling = StringMarshalling.Utf8)]
    public static partial void SetNamespace(RadosPoolHandle pool, string name);

    /// <summary><c>int64_t rados_ioctx_get_id(rados_ioctx_t io)</c></summary>
    [LibraryImport(Library, EntryPoint = "rados_ioctx_get_id")]
    public static partial long GetPoolId(RadosPoolHandle pool);

    /// <summary><c>int64_t rados_pool_lookup(rados_t cluster, const char *pool_name)</c>: by the map that this client has.</summary>
    [LibraryImport(Library, EntryPoint = "rados_pool_lookup", StringMarshalling = StringMarshalling.Utf8)]
    public static partial long LookUpPool(RadosClusterHandle cluster, string pool);

    /// <summary><c>int rados_aio_create_completion2(void *cb_arg, rados_callback_t cb_complete, rados_completion_t *pc)</c></summary>
    [LibraryImport(Library, EntryPoint = "rados_aio_create_completion2")]
    public static unsafe partial int CreateCompletion(nint argument, delegate* unmanaged[Cdecl]<nint, nint, void> onComplete, out RadosCompletion completion);

    /// <summary><c>int rados_aio_get_return_value(rados_completion_t c)</c></summary>
    [LibraryImport(Library, EntryPoint = "rados_aio_get_return_value")]
    public static partial int GetReturnValue(nint completion);

    /// <summary><c>void rados_aio_release(rados_completion_t c)</c></summary>
    [LibraryImport(Library, EntryPoint = "rados_aio_release")]
    public static partial void ReleaseCompletion(nint completion);

    /// <summary><c>int rados_aio_cancel(rados_ioctx_t io, rados_completion_t completion)</c>: the completion is called all the same.</summary>
    [LibraryImport(Library, EntryPoint = "rados_aio_cancel")]
    public static partial int Cancel(RadosPoolHandle pool, RadosCompletion completion);

    /// <summary><c>int rados_aio_read(rados_ioctx_t io, const char *oid, rados_completion_t completion, char *buf, size_t len, uint64_t off)</c></summary>
    [LibraryImport(Library, EntryPoint = "rados_aio_read", StringMarshalling = StringMarshalling.Utf8)]
    public static unsafe partial int Read(RadosPoolHandle pool, string name, RadosCompletion completion, byte* buffer, nuint lengthBytes, ulong offsetBytes);

    /// <summary><c>int rados_aio_stat(rados_ioctx_t io, const char *o, rados_completion_t completion, uint64_t *psize, time_t *pmtime)</c></summary>
    [LibraryImport(Library, EntryPoint = "rados_aio_stat", StringMarshalling = StringMarshalling.Utf8)]
    public static unsafe partial int Stat(RadosPoolHandle pool, string name, RadosCompletion completion, ulong* lengthBytes, long* modified);

    /// <summary><c>rados_write_op_t rados_create_write_op(void)</c></summary>
    [LibraryImport(Library, EntryPoint = "rados_create_write_op")]
    public static partial RadosWriteHandle CreateWrite();

    /// <summary><c>void rados_release_write_op(rados_write_op_t write_op)</c></summary>
    [LibraryImport(Library, EntryPoint = "rados_release_write_op")]
    public static partial void ReleaseWrite(nint operation);

    /// <summary><c>void rados_write_op_create(rados_write_op_t write_op, int exclusive, const char *category)</c>; the last one has no effect.</summary>
    [LibraryImport(Library, EntryPoint = "rados_write_op_create")]
    public static partial void AddCreate(RadosWriteHandle operation, int exclusive, nint category);

    /// <summary><c>void rados_write_op_write_full(rados_write_op_t write_op, const char *buffer, size_t len)</c></summary>
    [LibraryImport(Library, EntryPoint = "rados_write_op_write_full")]
    public static unsafe partial void AddWriteFull(RadosWriteHandle operation, byte* buffer, nuint lengthBytes);

    /// <summary><c>void rados_write_op_remove(rados_write_op_t write_op)</c></summary>
    [LibraryImport(Library, EntryPoint = "rados_write_op_remove")]
    public static partial void AddRemove(RadosWriteHandle operation);

    /// <summary>
    /// <c>void rados_write_op_omap_cmp2(rados_write_op_t write_op, const char *key, uint8_t comparison_operator, const char *val, size_t key_len, size_t val_len, int *prval)</c>:
    /// ends the operation with -ECANCELED if the value is another one; a key that is missing has an empty value.
    /// </summary>
    [LibraryImport(Library, EntryPoint = "rados_write_op_omap_cmp2")]
    public static unsafe partial void AddCompare(RadosWriteHandle operation, byte* key, byte comparison, byte* value, nuint keyLength, nuint valueLength, int* result);

    /// <summary><c>void rados_write_op_omap_set2(rados_write_op_t write_op, char const *const *keys, char const *const *vals, const size_t *key_lens, const size_t *val_lens, size_t num)</c></summary>
    [LibraryImport(Library, EntryPoint = "rados_write_op_omap_set2")]
    public static unsafe partial void AddSet(RadosWriteHandle operation, byte** keys, byte** values, nuint* keyLengths, nuint* valueLengths, nuint count);

    /// <summary><c>void rados_write_op_omap_rm_keys2(rados_write_op_t write_op, char const *const *keys, const size_t *key_lens, size_t keys_len)</c></summary>
    [LibraryImport(Library, EntryPoint = "rados_write_op_omap_rm_keys2")]
    public static unsafe partial void AddRemoveKeys(RadosWriteHandle operation, byte** keys, nuint* keyLengths, nuint count);

    /// <summary><c>int rados_aio_write_op_operate(rados_write_op_t write_op, rados_ioctx_t io, rados_completion_t completion, const char *oid, time_t *mtime, int flags)</c></summary>
    [LibraryImport(Library, EntryPoint = "rados_aio_write_op_operate", StringMarshalling = StringMarshalling.Utf8)]
    public static partial int Operate(RadosWriteHandle operation, RadosPoolHandle pool, RadosCompletion completion, string name, nint modified, int flags);

    /// <summary><c>rados_read_op_t rados_create_read_op(void)</c></summary>
    [LibraryImport(Library, EntryPoint = "rados_create_read_op")]
    public static partial RadosReadHandle CreateRead();

    /// <summary><c>void rados_release_read_op(rados_read_op_t read_op)</c></summary>
    [LibraryImport(Library, EntryPoint = "rados_release_read_op")]
    public static partial void ReleaseRead(nint operation);

    /// <summary>
    /// <c>void rados_read_op_omap_get_vals2(rados_read_op_t read_op, const char *start_after, const char *filter_prefix, uint64_t max_return, rados_omap_iter_t *iter, unsigned char *pmore, int *prval)</c>
    /// </summary>
    [LibraryImport(Library, EntryPoint = "rados_read_op_omap_get_vals2", StringMarshalling = StringMarshalling.Utf8)]
    public static unsafe partial void AddGetValues(RadosReadHandle operation, string startAfter, string prefix, ulong countMax, out RadosOmapHandle values, byte* more, int* result);

    /// <summary>
    /// <c>void rados_read_op_omap_get_vals_by_keys2(rados_read_op_t read_op, char const *const *keys, size_t num_keys, const size_t *key_lens, rados_omap_iter_t *iter, int *prval)</c>
    /// </summary>
    [LibraryImport(Library, EntryPoint = "rados_read_op_omap_get_vals_by_keys2")]
    public static unsafe partial void AddGetValuesByKeys(RadosReadHandle operation, byte** keys, nuint count, nuint* keyLengths, out RadosOmapHandle values, int* result);

    /// <summary><c>int rados_aio_read_op_operate(rados_read_op_t read_op, rados_ioctx_t io, rados_completion_t completion, const char *oid, int flags)</c></summary>
    [LibraryImport(Library, EntryPoint = "rados_aio_read_op_operate", StringMarshalling = StringMarshalling.Utf8)]
    public static partial int Operate(RadosReadHandle operation, RadosPoolHandle pool, RadosCompletion completion, string name, int flags);

    /// <summary>
    /// <c>int rados_omap_get_next2(rados_omap_iter_t iter, char **key, char **val, size_t *key_len, size_t *val_len)</c>: a null key at the end. Not before the operation has ended well.
    /// </summary>
    [LibraryImport(Library, EntryPoint = "rados_omap_get_next2")]
    public static unsafe partial int GetNext(RadosOmapHandle values, byte** key, byte** value, nuint* keyLength, nuint* valueLength);

    /// <summary><c>void rados_omap_get_end(rados_omap_iter_t iter)</c></summary>
    [LibraryImport(Library, EntryPoint = "rados_omap_get_end")]
    public static partial void ReleaseValues(nint values);
}
