using System.Collections.Concurrent;

namespace Gateway.Transfer;

/// <summary>Works on the pieces of a disk, several at a time, and knows up to where all of them are done.</summary>
/// <param name="pieceBytes">Length of a piece, and of the buffer that each has.</param>
/// <param name="atOnce">Pieces at a time.</param>
internal sealed class PieceRunner(int pieceBytes, int atOnce)
{
    private readonly Queue<(long End, Task Task)> _running = new();
    private readonly ConcurrentBag<PieceBuffer> _free = [];

    public int PieceBytes => pieceBytes;

    /// <summary>Everything below was done.</summary>
    public long DoneBytes { get; private set; }

    /// <summary>Forgets the past: everything below a position is done.</summary>
    public void Begin(long position) => DoneBytes = position;

    /// <summary>Starts work on the piece that ends at <paramref name="end"/>, once there is room. Pieces come in order.</summary>
    public async ValueTask AddAsync(long end, Func<PieceBuffer, Task> work)
    {
        while (_running.Count > 0 && (_running.Count >= atOnce || _running.Peek().Task.IsCompleted)) await EndFirstAsync();
        _running.Enqueue((end, RunAsync(work)));
    }

    /// <summary>What needs no work is done with the pieces before it.</summary>
    public void Skip(long end)
    {
        if (_running.Count == 0) DoneBytes = end;
        else _running.Enqueue((end, Task.CompletedTask));
    }

    /// <summary>Waits for all.</summary>
    public async ValueTask EndAsync()
    {
        while (_running.Count > 0) await EndFirstAsync();
    }

    /// <summary>Waits for all, whatever becomes of them: nobody uses a buffer any more.</summary>
    public async ValueTask AbandonAsync()
    {
        foreach (var (_, task) in _running) await task.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        _running.Clear();
    }

    private async ValueTask EndFirstAsync()
    {
        var (end, task) = _running.Peek();
        await task;
        _running.Dequeue();
        DoneBytes = end;
    }

    private async Task RunAsync(Func<PieceBuffer, Task> work)
    {
        if (!_free.TryTake(out var buffer)) buffer = new PieceBuffer(pieceBytes);
        await work(buffer);
        _free.Add(buffer);
    }
}
