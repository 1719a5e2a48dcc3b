namespace Gateway.Scsi;

/// <summary>What the commands of one unit share: device, names, limits, and the few things that change. Thread safe.</summary>
internal sealed class UnitState
{
    private volatile bool _writeCacheEnabled;
    private volatile bool _softwareWriteProtect;
    private volatile bool _stopped;

    public UnitState(IBlockDevice device, LogicalUnitOptions options)
    {
        var geometry = device.Geometry;
        Device = device;
        Identity = new UnitIdentity(options, geometry.Id);
        Limits = new UnitLimits(options, geometry);
        BlockLengthBytes = geometry.BlockLengthBytes;
        ReadOnly = options.ReadOnly;
        WriteCacheDefault = _writeCacheEnabled = options.WriteCacheEnabled;
    }

    public IBlockDevice Device { get; }

    public UnitIdentity Identity { get; }

    public UnitLimits Limits { get; }

    public int BlockLengthBytes { get; }

    public bool ReadOnly { get; }

    public bool WriteCacheDefault { get; }

    public PendingUnitAttentions Attentions { get; } = new();

    /// <summary>WCE of the caching mode page.</summary>
    public bool WriteCacheEnabled
    {
        get => _writeCacheEnabled;
        set => _writeCacheEnabled = value;
    }

    /// <summary>SWP of the control mode page.</summary>
    public bool SoftwareWriteProtect
    {
        get => _softwareWriteProtect;
        set => _softwareWriteProtect = value;
    }

    /// <summary>START STOP UNIT stopped the unit and none has started it since.</summary>
    public bool Stopped
    {
        get => _stopped;
        set => _stopped = value;
    }

    /// <summary>WP of the mode parameter header: whether a write would be refused now.</summary>
    public bool WriteProtected => ReadOnly || SoftwareWriteProtect || Device.Readiness.Error == BlockError.WriteProtected;

    /// <summary>Why media commands cannot be served now, or success.</summary>
    /// <remarks>A device that is only write-protected serves reads, so it is ready: its writes fail by themselves.</remarks>
    public BlockResult Readiness => Device.Readiness is { Error: not BlockError.WriteProtected } readiness ? readiness : BlockResult.Success;

    /// <summary>False, with the command ended, if the unit is stopped or the device not ready.</summary>
    public bool AdmitMediaAccess(ScsiCommand command)
    {
        if (Stopped)
        {
            command.CompleteCheckCondition(SenseCodes.InitializingCommandRequired);
            return false;
        }

        var readiness = Readiness;
        if (readiness.IsSuccess) return true;
        SenseMapping.Complete(command, readiness);
        return false;
    }

    /// <summary>As <see cref="AdmitMediaAccess"/>, and false for a unit that initiators may not write to.</summary>
    public bool AdmitWrite(ScsiCommand command)
    {
        if (!AdmitMediaAccess(command)) return false;
        if (!ReadOnly && !SoftwareWriteProtect) return true;
        command.CompleteCheckCondition(ReadOnly ? SenseCodes.WriteProtected : SenseCodes.SoftwareWriteProtected);
        return false;
    }

    /// <summary>False, with the command ended, if a block lies past the capacity or there are more blocks than <paramref name="blocksMax"/>.</summary>
    public bool AdmitRange(ScsiCommand command, in BlockCdb cdb, uint blocksMax)
    {
        if (!cdb.Range.FitsIn(Device.Geometry.CapacityBlocks))
        {
            command.CompleteCheckCondition(SenseCodes.LbaOutOfRange);
            return false;
        }

        if (cdb.Range.Blocks <= blocksMax) return true;
        command.CompleteCheckCondition(SenseCodes.InvalidFieldInCdb(cdb.LengthFieldByte));
        return false;
    }

    /// <summary>False, with the command ended, if the CDB asks for protection information (SBC-4 5.13, RDPROTECT without PROTECT).</summary>
    public static bool AdmitProtection(ScsiCommand command, in BlockCdb cdb)
    {
        if (!cdb.IsProtected) return true;
        command.CompleteCheckCondition(SenseCodes.InvalidFieldInCdb(1, 7));
        return false;
    }
}
