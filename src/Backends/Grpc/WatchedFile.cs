namespace Gateway.Backends.Grpc;

/// <summary>What one file or several hold, read again once one of them has changed: an operator or Kubernetes may replace them while we run. Thread safe.</summary>
/// <remarks>Files are to be replaced by a rename: one that is caught half written is a failure, and is read again by the next caller.</remarks>
/// <param name="load">Reads the files. Its failures reach the caller of <see cref="Get"/>.</param>
/// <param name="paths">The files.</param>
internal sealed class WatchedFile<T>(Func<T> load, params string[] paths)
    where T : class
{
    private readonly Lock _lock = new();
    private T? _value;
    private (DateTime, long)[] _stamps = [];

    public T Get()
    {
        lock (_lock)
        {
            var stamps = Array.ConvertAll(paths, StampOf);
            if (_value is not null && stamps.AsSpan().SequenceEqual(_stamps)) return _value;
            _value = null; // What a broken file held before holds no longer.
            (_value, _stamps) = (load(), stamps);
            return _value;
        }
    }

    /// <summary>Of the file itself: what Kubernetes replaces is a link on the way to it.</summary>
    private static (DateTime, long) StampOf(string path)
    {
        try
        {
            using var file = File.OpenHandle(path);
            return (File.GetLastWriteTimeUtc(file), RandomAccess.GetLength(file));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return default; // Loading it will say what is wrong.
        }
    }
}
