using Microsoft.Win32.SafeHandles;

namespace Gateway.Backends.Rados.Interop;

/// <summary><c>rados_t</c>: the client of one cluster, with its threads and connections. Ended once, after its last pool.</summary>
internal sealed class RadosClusterHandle() : SafeHandleZeroOrMinusOneIsInvalid(ownsHandle: true)
{
    protected override bool ReleaseHandle()
    {
        Librados.Shutdown(handle);
        return true;
    }
}

/// <summary><c>rados_ioctx_t</c>: a pool and a namespace. Keeps its cluster; each operation in progress keeps it.</summary>
internal sealed class RadosPoolHandle() : SafeHandleZeroOrMinusOneIsInvalid(ownsHandle: true)
{
    private RadosClusterHandle? _cluster;

    /// <summary>From now on the cluster lives as long as this.</summary>
    public void Keep(RadosClusterHandle cluster)
    {
        var kept = false;
        cluster.DangerousAddRef(ref kept);
        _cluster = cluster;
    }

    protected override bool ReleaseHandle()
    {
        Librados.DestroyIoContext(handle);
        _cluster?.DangerousRelease();
        return true;
    }
}

/// <summary><c>rados_write_op_t</c>: steps that take effect together.</summary>
internal sealed class RadosWriteHandle() : SafeHandleZeroOrMinusOneIsInvalid(ownsHandle: true)
{
    protected override bool ReleaseHandle()
    {
        Librados.ReleaseWrite(handle);
        return true;
    }
}

/// <summary><c>rados_read_op_t</c></summary>
internal sealed class RadosReadHandle() : SafeHandleZeroOrMinusOneIsInvalid(ownsHandle: true)
{
    protected override bool ReleaseHandle()
    {
        Librados.ReleaseRead(handle);
        return true;
    }
}

/// <summary><c>rados_omap_iter_t</c>: keys and values that an operation fetches. Not to be released before that has ended.</summary>
internal sealed class RadosOmapHandle() : SafeHandleZeroOrMinusOneIsInvalid(ownsHandle: true)
{
    protected override bool ReleaseHandle()
    {
        Librados.ReleaseValues(handle);
        return true;
    }
}
