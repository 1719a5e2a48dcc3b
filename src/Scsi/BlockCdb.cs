using static System.Buffers.Binary.BinaryPrimitives;

namespace Gateway.Scsi;

/// <summary>The fields that all CDBs addressing logical blocks share, whatever their length.</summary>
/// <param name="Range">LOGICAL BLOCK ADDRESS and TRANSFER (VERIFICATION, NUMBER OF) LENGTH, not yet checked against any capacity.</param>
/// <param name="Flags">Byte 1: protection, DPO, FUA, BYTCHK and their like. 0 for the 6-byte forms, which have none.</param>
/// <param name="LengthFieldByte">Offset of the length field, for field pointers.</param>
internal readonly record struct BlockCdb(BlockRange Range, byte Flags, byte LengthFieldByte)
{
    private const byte FuaBit = 0x08;
    private const byte ProtectMask = 0xE0;

    /// <summary>FORCE UNIT ACCESS.</summary>
    public bool Fua => (Flags & FuaBit) != 0;

    /// <summary>RDPROTECT, WRPROTECT or VRPROTECT asks for protection information, which the unit does not keep.</summary>
    public bool IsProtected => (Flags & ProtectMask) != 0;

    /// <summary>Decodes by the operation code's group (SPC-5 4.2.5.2), which fixes where the fields are.</summary>
    /// <remarks>
    /// SBC-4 clause 5. In READ (6) and WRITE (6) a length of 0 means 256 blocks; elsewhere it means what it says.
    /// The CDB must be as long as its group says.
    /// </remarks>
    public static BlockCdb Decode(ReadOnlySpan<byte> cdb) => (cdb[0] >> 5) switch
    {
        0 => new(new(ReadUInt32BigEndian(cdb) & 0x1F_FFFF, cdb[4] == 0 ? 256u : cdb[4]), 0, 4),
        4 => new(new(ReadUInt64BigEndian(cdb[2..]), ReadUInt32BigEndian(cdb[10..])), cdb[1], 10),
        5 => new(new(ReadUInt32BigEndian(cdb[2..]), ReadUInt32BigEndian(cdb[6..])), cdb[1], 6),
        _ => new(new(ReadUInt32BigEndian(cdb[2..]), ReadUInt16BigEndian(cdb[7..])), cdb[1], 7),
    };
}
