namespace Gateway.Scsi;

/// <summary>The sense data that the SCSI layer itself gives; what a device failure becomes is in <see cref="SenseMapping"/>.</summary>
/// <remarks>SPC-5 annex F lists the additional sense codes; SPC-5 4.4.2.4.2 the field pointer.</remarks>
internal static class SenseCodes
{
    public static readonly SenseData InvalidOperationCode = new(SenseKey.IllegalRequest, 0x20, 0x00);

    public static readonly SenseData LbaOutOfRange = new(SenseKey.IllegalRequest, 0x21, 0x00);

    public static readonly SenseData ParameterListLengthError = new(SenseKey.IllegalRequest, 0x1A, 0x00);

    public static readonly SenseData SavingParametersNotSupported = new(SenseKey.IllegalRequest, 0x39, 0x00);

    /// <summary>The initiator announced another Data-Out length than its CDB asks for.</summary>
    public static readonly SenseData InvalidFieldInCommandInformationUnit = new(SenseKey.IllegalRequest, 0x0E, 0x03);

    /// <summary>LOGICAL UNIT NOT READY, INITIALIZING COMMAND REQUIRED: stopped, and waiting for START STOP UNIT.</summary>
    public static readonly SenseData InitializingCommandRequired = new(SenseKey.NotReady, 0x04, 0x02);

    public static readonly SenseData WriteProtected = new(SenseKey.DataProtect, 0x27, 0x00);

    /// <summary>LOGICAL UNIT SOFTWARE WRITE PROTECTED: the SWP bit of the control mode page.</summary>
    public static readonly SenseData SoftwareWriteProtected = new(SenseKey.DataProtect, 0x27, 0x02);

    /// <summary>A field of the CDB is not valid.</summary>
    /// <param name="fieldByte">Offset of the field's first byte.</param>
    /// <param name="fieldBit">Its leftmost bit, for fields that do not fill bytes.</param>
    public static SenseData InvalidFieldInCdb(int fieldByte, byte? fieldBit = null) =>
        new(SenseKey.IllegalRequest, 0x24, 0x00, FieldPointer: (ushort)fieldByte, FieldBit: fieldBit);

    /// <summary>A field of the parameter list is not valid; arguments as for <see cref="InvalidFieldInCdb"/>.</summary>
    public static SenseData InvalidFieldInParameterList(int fieldByte, byte? fieldBit = null) =>
        new(SenseKey.IllegalRequest, 0x26, 0x00, FieldPointer: (ushort)fieldByte, FieldBit: fieldBit, FieldInData: true);

    /// <summary>MISCOMPARE DURING VERIFY OPERATION, with the offset in the Data-Out buffer of the first byte that differs.</summary>
    public static SenseData Miscompare(int offsetBytes) => new(SenseKey.Miscompare, 0x1D, 0x00, Information: (ulong)offsetBytes);
}
