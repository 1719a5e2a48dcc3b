using Gateway.Volumes.Checkpoints;
using Gateway.Volumes.Formats;
using Gateway.Volumes.Map;

namespace Gateway.Volumes.Checking;

/// <summary>
/// Makes the map of a checkpoint again from the indexes of the segments that are left, in order of sequence. Segments that were removed are
/// missing from that order, so the result may hold too much: blocks that a removed segment had overwritten or trimmed.
/// </summary>
/// <remarks>
/// It never holds too little. A block whose last writer is still there was touched by nothing after it, so nothing here hides it either. A
/// moved block's source may be gone; hence it applies unless a segment after the covered one touched the block. If that one is itself a moved
/// segment, whose own blocks may have been refused when it counted, nobody can tell: the replay refuses. So for each segment the blocks here
/// are those of the checkpoint or more, and if their number is the same, they are the same.
/// </remarks>
internal sealed class MapReplay(VolumeRecord volume, BucketIndex target)
{
    // For each block the last segment that touched it, whether it wrote or trimmed it.
    private readonly ExtentMap<JournalLocation> _touched = new((ulong)(volume.SizeBytes / volume.BlockSizeBytes), volume.BlockSizeBytes);

    /// <summary>Takes in the next segment. It is in the target's table.</summary>
    /// <exception cref="VolumeException">What it did cannot be told.</exception>
    public void Apply(in SegmentHeader header, SegmentIndexEntry[] index)
    {
        var sequence = (uint)header.Id.Sequence;
        foreach (var entry in index)
        {
            if (entry.Kind == ExtentKind.Zero)
            {
                target.Map.Trim(entry.Lba, entry.Blocks, sequence);
                _touched.Set(entry.Lba, entry.Blocks, JournalLocation.Zero(sequence));
                continue;
            }

            var location = new SegmentLocation(sequence, entry.FrameOffsetBytes, entry.FrameLengthBytes);
            if (header.Kind == SegmentKind.Moved) ApplyMoved(header, entry, location);
            else Put(entry.Lba, entry.Blocks, location);
        }
    }

    private void ApplyMoved(in SegmentHeader header, in SegmentIndexEntry entry, SegmentLocation location)
    {
        for (uint done = 0; done < entry.Blocks;)
        {
            var lba = entry.Lba + done;
            var isTouched = _touched.TryFind(lba, entry.Blocks - done, out var blocks, out var last);
            if (isTouched && last.WriteNumber > header.CoveredSequence)
            {
                if (!target.Segments.TryGet((uint)last.WriteNumber, out var by) || by.Kind == SegmentKind.Moved)
                    throw new VolumeException(VolumeErrorKind.Damaged, $"LBA {lba} was moved by segments {last.WriteNumber} and {header.Id.Sequence} at about the same time: which of them holds it cannot be proven.");
            }
            else
            {
                Put(lba, blocks, location.Advance(done));
            }

            done += blocks;
        }
    }

    private void Put(ulong lba, uint blocks, SegmentLocation location)
    {
        target.Map.Set(lba, blocks, location);
        _touched.Set(lba, blocks, JournalLocation.Zero(location.Sequence));
    }
}
