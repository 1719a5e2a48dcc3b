using System.Diagnostics;

namespace Gateway.Scsi;

/// <summary>What an initiator sees of each <see cref="BlockError"/>: the one place where the design's table is written down.</summary>
/// <remarks>
/// NOT READY is chosen wherever time or another path may help, since Linux then retries with a delay; MEDIUM ERROR goes straight up,
/// past healthy paths, and so stands for verified corruption only; HARDWARE ERROR would defeat multipath and is never used.
/// </remarks>
public static class SenseMapping
{
    /// <summary>Ends the command as the result says; a success ends it with GOOD.</summary>
    public static void Complete(ScsiCommand command, BlockResult result)
    {
        if (result.IsSuccess) command.CompleteGood();
        else if (result.Error == BlockError.Aborted) command.Complete(ScsiStatus.TaskAborted);
        else command.CompleteCheckCondition(ToSense(result));
    }

    /// <summary>Sense data for a failure other than <see cref="BlockError.Aborted"/>, which is a status of its own.</summary>
    public static SenseData ToSense(BlockResult failure) => failure.Error switch
    {
        BlockError.BecomingReady => new(SenseKey.NotReady, 0x04, 0x01), // In process of becoming ready.
        BlockError.Offline => new(SenseKey.NotReady, 0x04, 0x03), // Manual intervention required.
        BlockError.StoreUnavailable => new(SenseKey.NotReady, 0x04, 0x07), // Operation in progress.
        BlockError.HandingOver => new(SenseKey.NotReady, 0x04, 0x0A), // Asymmetric access state transition.
        BlockError.Standby => new(SenseKey.NotReady, 0x04, 0x0B), // Target port in standby state.
        BlockError.PathUnavailable => new(SenseKey.NotReady, 0x04, 0x0C), // Target port in unavailable state.
        BlockError.JournalFull => new(SenseKey.NotReady, 0x04, 0x14), // Space allocation in progress.
        BlockError.WriteProtected => SenseCodes.WriteProtected,
        BlockError.SpaceExhausted => new(SenseKey.DataProtect, 0x27, 0x07), // Space allocation failed write protect.
        BlockError.Corrupt => new(SenseKey.MediumError, 0x11, 0x00, Information: failure.Lba), // Unrecovered read error.
        _ => throw new UnreachableException($"No sense data for {failure.Error}."),
    };
}
