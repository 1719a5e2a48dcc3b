namespace Gateway.Volumes.Log;

/// <summary>What one epoch wrote: from which sequence on, and its last write that is in the bucket.</summary>
internal readonly record struct EpochSpan(long Epoch, long FirstSequence, long LastWrite);

/// <summary>Which epoch wrote which part of the log. Not thread safe.</summary>
internal sealed class EpochTable
{
    /// <summary>Spans kept. An epoch adds one only if it wrote; what is older is forgotten once no segment of it is left.</summary>
    public const int SpansMax = 4096;

    private readonly List<EpochSpan> _spans = [];

    public IReadOnlyList<EpochSpan> Spans => _spans;

    public void Restore(IEnumerable<EpochSpan> spans) => _spans.AddRange(spans);

    /// <summary>Takes in the next segment of the log.</summary>
    public void Add(long epoch, long sequence, long lastWrite)
    {
        if (_spans.Count > 0 && _spans[^1].Epoch == epoch) _spans[^1] = _spans[^1] with { LastWrite = lastWrite };
        else _spans.Add(new EpochSpan(epoch, sequence, lastWrite));
    }

    /// <summary>Forgets spans that end before <paramref name="firstSequence"/>, as far as there are too many.</summary>
    public void Trim(long firstSequence)
    {
        while (_spans.Count > SpansMax && _spans[1].FirstSequence <= firstSequence) _spans.RemoveAt(0);
    }

    /// <summary>The epoch that wrote a segment of the log.</summary>
    public long EpochOf(long sequence)
    {
        var (low, high) = (0, _spans.Count);
        while (low < high)
        {
            var middle = (low + high) >>> 1;
            if (_spans[middle].FirstSequence <= sequence) low = middle + 1;
            else high = middle;
        }

        return low == 0 ? 0 : _spans[low - 1].Epoch;
    }

    /// <summary>The last write in the bucket's segments of epochs up to <paramref name="epoch"/>.</summary>
    public long LastWriteUpTo(long epoch)
    {
        var index = _spans.FindLastIndex(s => s.Epoch <= epoch);
        return index < 0 ? 0 : _spans[index].LastWrite;
    }
}
