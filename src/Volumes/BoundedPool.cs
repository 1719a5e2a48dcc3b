namespace Gateway.Volumes;

/// <summary>Keeps a few expensive objects for the next user. Thread safe.</summary>
/// <param name="create">Makes one when none is kept.</param>
/// <param name="keptMax">Most that are kept; what comes back beyond that is disposed of.</param>
internal sealed class BoundedPool<T>(Func<T> create, int keptMax)
    where T : class
{
    private readonly Lock _gate = new();
    private readonly T[] _kept = new T[keptMax];
    private int _count;

    public T Rent()
    {
        lock (_gate)
        {
            if (_count > 0)
            {
                var item = _kept[--_count];
                _kept[_count] = null!;
                return item;
            }
        }

        return create();
    }

    public void Return(T item)
    {
        lock (_gate)
        {
            if (_count < _kept.Length)
            {
                _kept[_count++] = item;
                return;
            }
        }

        (item as IDisposable)?.Dispose();
    }
}
