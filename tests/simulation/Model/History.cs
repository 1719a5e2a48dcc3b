namespace Gateway.Simulation.Model;

/// <summary>
/// The writes of a volume as one gateway knows it, in the order in which they take effect: that in which they were issued. A prefix of it is what
/// any later gateway may find; floors say how long that prefix must be at least.
/// </summary>
internal sealed class History
{
    private readonly int[] _base;
    private readonly int _start;
    private readonly List<Write> _writes = [];
    private readonly List<Write>?[] _byBlock;

    /// <summary>A volume of zeroes.</summary>
    public History(int blocks)
        : this(new int[blocks], 0)
    {
    }

    private History(int[] image, int start)
    {
        _base = image;
        _start = start;
        _byBlock = new List<Write>?[image.Length];
    }

    public int Blocks => _base.Length;

    /// <summary>Place of the last write issued.</summary>
    public int End => _start + _writes.Count;

    /// <summary>All up to here has been answered: what survives the death of the gateway's process on a machine that lives.</summary>
    public int CompletedFloor { get; private set; }

    /// <summary>All up to here was flushed, as far as its gateway has said: what survives a power cut.</summary>
    public int FlushedFloor { get; private set; }

    /// <summary>All up to here is known to be in the bucket: what survives the loss of the machine.</summary>
    public int BucketFloor { get; private set; }

    public void Add(Write write)
    {
        _writes.Add(write);
        write.Position = End;
        for (var b = (int)write.Lba; b < (int)write.Lba + write.Blocks; b++) (_byBlock[b] ??= []).Add(write);
    }

    public void Complete(Write write, long step)
    {
        write.State = WriteState.Done;
        write.DoneAt = step;
        CompletedFloor = Math.Max(CompletedFloor, write.Position);
    }

    /// <summary>Its gateway is gone, and may have refused some of what it did not answer: those writes may be missing though later ones are there.</summary>
    public void FailOpenWrites()
    {
        foreach (var write in _writes)
            if (write.State == WriteState.Open) write.State = WriteState.Failed;
    }

    public void RaiseFlushed(int place) => FlushedFloor = Math.Max(FlushedFloor, place);

    public void RaiseBucket(int place)
    {
        BucketFloor = Math.Max(BucketFloor, place);
        RaiseFlushed(place);
    }

    /// <summary>Why a read of one block, begun at a step, may not return what <paramref name="tag"/> wrote; null if it may.</summary>
    public string? CheckRead(int block, int tag, long begunAt)
    {
        if (_byBlock[block] is { } writes)
        {
            for (var i = writes.Count - 1; i >= 0; i--)
            {
                if (writes[i].State == WriteState.Aborted) continue;
                if (writes[i].Tag == tag) return null;
                if (writes[i].DoneAt <= begunAt) return $"block {block} holds what write {tag} wrote, but {writes[i]} was completed before the read began";
            }
        }

        return _base[block] == tag ? null : $"block {block} holds what write {tag} wrote, and not what {_base[block]} did";
    }

    /// <summary>
    /// The longest prefix, of at least <paramref name="floor"/> writes, that explains what the blocks hold; -1 and a reason if there is none.
    /// Writes that failed may be missing from it, but not in part.
    /// </summary>
    public int FindPrefix(int[] found, int floor, out string reason)
    {
        var image = (int[])_base.Clone();
        var alternatives = new List<int>?[image.Length];
        var wrong = 0;
        for (var b = 0; b < image.Length; b++) wrong += image[b] == found[b] ? 0 : 1;
        var best = wrong == 0 && _start >= floor ? _start : -1;
        var closest = (Place: _start, Wrong: wrong);
        foreach (var write in _writes)
        {
            for (var b = (int)write.Lba; write.State != WriteState.Aborted && b < (int)write.Lba + write.Blocks; b++)
            {
                if (!Explained(b)) wrong--;
                if (write.State == WriteState.Failed)
                {
                    (alternatives[b] ??= []).Add(write.Tag);
                }
                else
                {
                    image[b] = write.Tag;
                    alternatives[b] = null;
                }

                if (!Explained(b)) wrong++;
            }

            if (wrong < closest.Wrong && write.Position >= floor) closest = (write.Position, wrong);
            if (wrong == 0 && write.Position >= floor) best = write.Position;
        }

        reason = "";
        if (best < 0)
            reason = $"what is readable is no prefix of {End} writes that holds the first {floor} (completed {CompletedFloor}, flushed {FlushedFloor}, in the bucket {BucketFloor}); the nearest, {closest.Place}, differs in {closest.Wrong} blocks. {Difference(found, closest.Place)}";
        else if (FindTorn(found, best) is { } torn)
            (best, reason) = (-1, torn);
        return best;

        bool Explained(int b) => image[b] == found[b] || alternatives[b]?.Contains(found[b]) == true;
    }

    /// <summary>A new history that goes on from a prefix of this one.</summary>
    /// <param name="place">Its last write.</param>
    /// <param name="found">What the blocks hold there: says which of the failed writes took effect.</param>
    /// <param name="isAllInBucket">All of the prefix came from the bucket.</param>
    public History Fork(int place, int[] found, bool isAllInBucket)
    {
        // What is settled need not be kept. Whether a failed write took effect is settled only by what shows of it.
        var settled = isAllInBucket ? place : Math.Min(place, BucketFloor);
        var unsettled = settled == place ? null : _writes.Find(w => w.State == WriteState.Failed && !Shows(w, found));
        if (unsettled is not null) settled = Math.Min(settled, unsettled.Position - 1);
        settled = Math.Max(settled, _start);
        var image = (int[])_base.Clone();
        foreach (var write in _writes.TakeWhile(w => w.Position <= settled).Where(w => w.State != WriteState.Aborted)) Array.Fill(image, write.Tag, (int)write.Lba, write.Blocks);
        if (settled == place) found.CopyTo(image, 0);
        var fork = new History(image, settled);
        foreach (var write in _writes.TakeWhile(w => w.Position <= place).SkipWhile(w => w.Position <= settled))
        {
            // A failed write that shows took effect, and counts from now on like any other.
            var state = write.State == WriteState.Aborted || (write.State == WriteState.Failed && !Shows(write, found)) ? write.State : WriteState.Done;
            fork.Add(new Write(write.Id, write.Lba, write.Blocks, write.Kind) { State = state, DoneAt = state == WriteState.Done ? 0 : long.MaxValue });
        }

        fork.CompletedFloor = fork.End;
        fork.FlushedFloor = Math.Min(fork.End, isAllInBucket ? fork.End : FlushedFloor);
        fork.BucketFloor = Math.Min(fork.End, isAllInBucket ? fork.End : BucketFloor);
        return fork;
    }

    private static bool Shows(Write write, int[] found) => write.Tag != 0 && found.AsSpan((int)write.Lba, write.Blocks).Contains(write.Tag);

    /// <summary>A failed write of which some blocks show, and others neither show it nor anything later.</summary>
    private string? FindTorn(int[] found, int place)
    {
        foreach (var write in _writes)
        {
            if (write.Position > place) break;
            if (write.State != WriteState.Failed || write.Tag == 0 || !Shows(write, found)) continue;
            for (var b = (int)write.Lba; b < (int)write.Lba + write.Blocks; b++)
            {
                if (found[b] == write.Tag || _byBlock[b]!.Any(w => w.Position > write.Position && w.Position <= place && w.Tag == found[b])) continue;
                return $"{write} is torn: block {b} shows write {found[b]} instead.";
            }
        }

        return null;
    }

    private string Difference(int[] found, int place)
    {
        var image = (int[])_base.Clone();
        foreach (var write in _writes.TakeWhile(w => w.Position <= place && w.State < WriteState.Failed)) Array.Fill(image, write.Tag, (int)write.Lba, write.Blocks);
        var block = Enumerable.Range(0, image.Length).FirstOrDefault(b => image[b] != found[b]);
        var missing = _writes.FindLast(w => w.Covers((ulong)block) && w.Position <= place);
        var shown = _writes.Find(w => w.Tag == found[block] && w.Covers((ulong)block));
        return $"Block {block} holds what write {found[block]} wrote ({shown?.ToString() ?? "unknown in this history, or part of its base"}), expected {missing?.ToString() ?? $"write {image[block]} of its base"}.";
    }
}
