using static System.Buffers.Binary.BinaryPrimitives;

namespace Gateway.Scsi.Tests;

/// <summary>Builds CDBs, field by field as an initiator does.</summary>
internal static class Cdbs
{
    public static byte[] Hex(string bytes) => Convert.FromHexString(bytes.Replace(" ", "", StringComparison.Ordinal));

    /// <summary>A command that addresses blocks, of any of the four lengths.</summary>
    public static byte[] Block(byte operationCode, ulong lba, uint blocks, byte flags = 0)
    {
        byte[] cdb;
        switch (operationCode >> 5)
        {
            case 0:
                cdb = new byte[6];
                WriteUInt32BigEndian(cdb, (uint)lba);
                cdb[4] = (byte)blocks;
                break;
            case 4:
                cdb = new byte[16];
                WriteUInt64BigEndian(cdb.AsSpan(2), lba);
                WriteUInt32BigEndian(cdb.AsSpan(10), blocks);
                cdb[1] = flags;
                break;
            case 5:
                cdb = new byte[12];
                WriteUInt32BigEndian(cdb.AsSpan(2), (uint)lba);
                WriteUInt32BigEndian(cdb.AsSpan(6), blocks);
                cdb[1] = flags;
                break;
            default:
                cdb = new byte[10];
                WriteUInt32BigEndian(cdb.AsSpan(2), (uint)lba);
                WriteUInt16BigEndian(cdb.AsSpan(7), (ushort)blocks);
                cdb[1] = flags;
                break;
        }

        cdb[0] = operationCode;
        return cdb;
    }

    public static byte[] Inquiry(byte? page = null, ushort allocationLength = 1024) =>
        [0x12, (byte)(page is null ? 0 : 1), page ?? 0, (byte)(allocationLength >> 8), (byte)allocationLength, 0];

    public static byte[] Unmap(int listLength, byte flags = 0) =>
        [0x42, flags, 0, 0, 0, 0, 0, (byte)(listLength >> 8), (byte)listLength, 0];

    /// <summary>An UNMAP parameter list whose lengths agree with its descriptors.</summary>
    public static byte[] UnmapList(params (ulong Lba, uint Blocks)[] ranges)
    {
        var list = new byte[8 + 16 * ranges.Length];
        WriteUInt16BigEndian(list, (ushort)(list.Length - 2));
        WriteUInt16BigEndian(list.AsSpan(2), (ushort)(list.Length - 8));
        for (var i = 0; i < ranges.Length; i++)
        {
            WriteUInt64BigEndian(list.AsSpan(8 + 16 * i), ranges[i].Lba);
            WriteUInt32BigEndian(list.AsSpan(16 + 16 * i), ranges[i].Blocks);
        }

        return list;
    }
}
