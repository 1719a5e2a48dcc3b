using static System.Buffers.Binary.BinaryPrimitives;

namespace Gateway.Scsi;

/// <summary>INQUIRY (SPC-5 6.7): standard data, built here, and the vital product data of <see cref="VpdPages"/>.</summary>
internal sealed class InquiryCommand(UnitState unit)
{
    private const int StandardLengthBytes = 74; // Up to and with the eighth VERSION DESCRIPTOR.

    /// <summary>SAM-5, SPC-4, SBC-3, iSCSI (SPC-5 6.7.2, VERSION DESCRIPTOR values without a revision).</summary>
    private static readonly ushort[] VersionDescriptors = [0x00A0, 0x0460, 0x04C0, 0x0960];

    public void Execute(ScsiCommand command)
    {
        var cdb = command.Cdb;
        var allocationLength = ReadUInt16BigEndian(cdb[3..]);
        var pageCode = cdb[2];
        if ((cdb[1] & 0x02) != 0)
        {
            command.CompleteCheckCondition(SenseCodes.InvalidFieldInCdb(1, 1)); // CMDDT, obsolete.
            return;
        }

        Span<byte> data = stackalloc byte[VpdPages.LengthMaxBytes];
        data.Clear();
        var vital = (cdb[1] & 0x01) != 0;
        int length;
        if (vital) length = VpdPages.Write((VpdPageCode)pageCode, unit, data);
        else length = pageCode == 0 ? WriteStandard(unit.Identity, data) : 0;

        if (length == 0) command.CompleteCheckCondition(SenseCodes.InvalidFieldInCdb(2));
        else DataIn.Complete(command, data[..length], allocationLength);
    }

    /// <summary>SPC-5 6.7.2: a direct access block device, not removable, SPC-4, without protection, target port groups or copies.</summary>
    private static int WriteStandard(UnitIdentity identity, Span<byte> data)
    {
        data[2] = 0x06; // VERSION: SPC-4.
        data[3] = 0x12; // HISUP (REPORT LUNS speaks of hierarchical addresses, by LIO); RESPONSE DATA FORMAT 2.
        data[4] = StandardLengthBytes - 5;
        data[7] = 0x02; // CMDQUE.
        identity.Vendor.CopyTo(data[8..]);
        identity.Product.CopyTo(data[16..]);
        identity.Revision.CopyTo(data[32..]);
        for (var i = 0; i < VersionDescriptors.Length; i++) WriteUInt16BigEndian(data[(58 + 2 * i)..], VersionDescriptors[i]);
        return StandardLengthBytes;
    }
}
