namespace Gateway.Transfer;

/// <summary>What a transfer is doing.</summary>
public enum TransferPhase
{
    /// <summary>Bytes are copied.</summary>
    Copy,

    /// <summary>What was copied is read back and compared.</summary>
    Verify,
}

/// <summary>How far a transfer has come.</summary>
/// <param name="Phase">What it is doing.</param>
/// <param name="PositionBytes">Everything of the disk below is done.</param>
/// <param name="SizeBytes">Capacity of the disk.</param>
/// <param name="DataBytes">Bytes that were copied or compared in this phase and run: holes and zeroes are not among them.</param>
public readonly record struct TransferProgress(TransferPhase Phase, long PositionBytes, long SizeBytes, long DataBytes);

/// <summary>What a transfer has come to.</summary>
/// <param name="SizeBytes">Capacity of the disk.</param>
/// <param name="DataBytes">Bytes copied in this run: holes and zeroes are not among them.</param>
/// <param name="ResumedAtBytes">Where it went on, if an earlier run was interrupted; 0: it began with this one.</param>
/// <param name="Verified">True if every byte was read back and compared.</param>
public sealed record TransferOutcome(long SizeBytes, long DataBytes, long ResumedAtBytes, bool Verified);
