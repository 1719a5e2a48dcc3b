using static System.Buffers.Binary.BinaryPrimitives;

namespace Gateway.Scsi;

/// <summary>MODE SENSE (6) and (10) (SPC-5 6.14, 6.15): header, block descriptor unless DBD, pages.</summary>
internal sealed class ModeSenseCommand(UnitState unit)
{
    private const int LengthMaxBytes = 64;
    private const byte WpBit = 0x80;
    private const byte DpoFuaBit = 0x10;

    public void Execute(ScsiCommand command)
    {
        var cdb = command.Cdb;
        var pageCode = (byte)(cdb[2] & 0x3F);
        var pageControl = (PageControl)(cdb[2] >> 6);
        if (pageControl == PageControl.Saved)
        {
            command.CompleteCheckCondition(SenseCodes.SavingParametersNotSupported);
            return;
        }

        if (pageCode != ModePages.All && ModePages.LengthBytes(pageCode) == 0)
        {
            command.CompleteCheckCondition(SenseCodes.InvalidFieldInCdb(2, 5));
            return;
        }

        if (cdb[3] is not (0x00 or 0xFF)) // No page has subpages, so "all subpages" is the page itself.
        {
            command.CompleteCheckCondition(SenseCodes.InvalidFieldInCdb(3));
            return;
        }

        var isShort = (OperationCode)cdb[0] == OperationCode.ModeSense6;
        Span<byte> data = stackalloc byte[LengthMaxBytes];
        data.Clear();
        var length = isShort ? 4 : 8;
        if ((cdb[1] & 0x08) == 0) length += WriteBlockDescriptor(data, length, isLong: !isShort && (cdb[1] & 0x10) != 0);
        if (pageCode is ModePages.Caching or ModePages.All) length += WritePage(ModePages.Caching, pageControl, data[length..]);
        if (pageCode is ModePages.Control or ModePages.All) length += WritePage(ModePages.Control, pageControl, data[length..]);
        FinishHeader(data[..length], isShort);
        DataIn.Complete(command, data[..length], isShort ? cdb[4] : ReadUInt16BigEndian(cdb[7..]));
    }

    /// <summary>MODE DATA LENGTH counts what follows itself; WP and DPOFUA are the device-specific parameter (SBC-4 6.5.1).</summary>
    private void FinishHeader(Span<byte> data, bool isShort)
    {
        var deviceSpecific = (byte)(DpoFuaBit | (unit.WriteProtected ? WpBit : 0));
        if (isShort)
        {
            data[0] = (byte)(data.Length - 1);
            data[2] = deviceSpecific;
            return;
        }

        WriteUInt16BigEndian(data, (ushort)(data.Length - 2));
        data[3] = deviceSpecific;
    }

    /// <summary>SBC-4 6.5.2: the short form, or the long one (LLBAA) that holds any capacity. Sets the header's length of it, too.</summary>
    private int WriteBlockDescriptor(Span<byte> data, int headerLengthBytes, bool isLong)
    {
        var geometry = unit.Device.Geometry;
        var descriptor = data[headerLengthBytes..];
        if (isLong)
        {
            data[4] = 0x01; // LONGLBA.
            WriteUInt64BigEndian(descriptor, geometry.CapacityBlocks);
            WriteUInt32BigEndian(descriptor[12..], (uint)geometry.BlockLengthBytes);
            return data[7] = 16;
        }

        WriteUInt32BigEndian(descriptor, (uint)Math.Min(geometry.CapacityBlocks, uint.MaxValue));
        WriteUInt32BigEndian(descriptor[4..], (uint)geometry.BlockLengthBytes); // Three bytes, after a reserved one.
        return data[headerLengthBytes - 1] = 8;
    }

    private int WritePage(byte pageCode, PageControl pageControl, Span<byte> page)
    {
        if (pageControl == PageControl.Changeable) ModePages.WriteChangeable(pageCode, page);
        else ModePages.Write(pageCode, pageControl == PageControl.Default ? Defaults : Current, page);
        return ModePages.LengthBytes(pageCode);
    }

    private ModeParameters Current => new(unit.WriteCacheEnabled, unit.SoftwareWriteProtect);

    private ModeParameters Defaults => new(unit.WriteCacheDefault, SoftwareWriteProtect: false);
}
