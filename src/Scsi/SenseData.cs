using static System.Buffers.Binary.BinaryPrimitives;

namespace Gateway.Scsi;

/// <summary>SPC-5 4.4.8 sense keys.</summary>
public enum SenseKey : byte
{
    NoSense = 0x0,
    RecoveredError = 0x1,
    NotReady = 0x2,
    MediumError = 0x3,
    HardwareError = 0x4,
    IllegalRequest = 0x5,
    UnitAttention = 0x6,
    DataProtect = 0x7,
    AbortedCommand = 0xB,
    Miscompare = 0xE,
}

/// <summary>Why a command ended in CHECK CONDITION (SPC-5 4.4.3, fixed format).</summary>
/// <param name="Key">Sense key.</param>
/// <param name="Asc">Additional sense code.</param>
/// <param name="Ascq">Additional sense code qualifier.</param>
/// <param name="Information">INFORMATION field: the LBA it failed at, or the offset of a miscompare. Null, or one past 32 bits, leaves VALID clear.</param>
/// <param name="FieldPointer">For ILLEGAL REQUEST: byte offset of the field in error.</param>
/// <param name="FieldBit">With <paramref name="FieldPointer"/>: the leftmost bit in error, 0 to 7; null leaves BPV clear.</param>
/// <param name="FieldInData">The field in error is in the parameter list, not in the CDB (C/D = 0).</param>
public readonly record struct SenseData(
    SenseKey Key,
    byte Asc,
    byte Ascq,
    ulong? Information = null,
    ushort? FieldPointer = null,
    byte? FieldBit = null,
    bool FieldInData = false)
{
    /// <summary>Length of what <see cref="WriteTo"/> writes, in bytes.</summary>
    public const int LengthBytes = 18;

    public static readonly SenseData None = default;

    /// <summary>Writes 18 bytes of fixed-format sense data.</summary>
    public void WriteTo(Span<byte> sense)
    {
        sense = sense[..LengthBytes];
        sense.Clear();
        var valid = Information is <= uint.MaxValue;
        sense[0] = (byte)(valid ? 0xF0 : 0x70); // 70h: current error, fixed format; bit 7: VALID.
        sense[2] = (byte)Key;
        if (valid) WriteUInt32BigEndian(sense[3..], (uint)Information!.Value);
        sense[7] = LengthBytes - 8; // ADDITIONAL SENSE LENGTH counts the bytes after itself.
        (sense[12], sense[13]) = (Asc, Ascq);
        if (FieldPointer is not { } pointer) return;
        // SPC-5 4.4.2.4.2: SKSV, C/D, BPV and BIT POINTER, then FIELD POINTER.
        sense[15] = (byte)(0x80 | (FieldInData ? 0 : 0x40) | (FieldBit is { } bit ? 0x08 | bit : 0));
        WriteUInt16BigEndian(sense[16..], pointer);
    }
}
