using System.Numerics;

namespace Gateway.Scsi;

/// <summary>Unit attentions not yet told to anyone. Thread safe; each kind is pending at most once.</summary>
/// <remarks>
/// SAM-5 5.14 wants a queue for every I_T nexus. TCMU names no nexus, so there is one for all, and the next command of any initiator
/// takes the condition; see docs/semantics.md.
/// </remarks>
internal sealed class PendingUnitAttentions
{
    private int _pending;

    public void Raise(UnitAttention attention) => Interlocked.Or(ref _pending, 1 << (int)attention);

    /// <summary>Takes the first pending condition, if there is one.</summary>
    public bool TryTake(out SenseData sense)
    {
        sense = default;
        while (Volatile.Read(ref _pending) is var pending and not 0)
        {
            var rest = pending & (pending - 1);
            if (Interlocked.CompareExchange(ref _pending, rest, pending) != pending) continue;
            sense = ToSense((UnitAttention)BitOperations.TrailingZeroCount(pending));
            return true;
        }

        return false;
    }

    private static SenseData ToSense(UnitAttention attention) => attention switch
    {
        UnitAttention.ModeParametersChanged => new(SenseKey.UnitAttention, 0x2A, 0x01),
        UnitAttention.CapacityDataChanged => new(SenseKey.UnitAttention, 0x2A, 0x09),
        UnitAttention.InquiryDataChanged => new(SenseKey.UnitAttention, 0x3F, 0x03),
        _ => new(SenseKey.UnitAttention, 0x29, 0x00),
    };
}
