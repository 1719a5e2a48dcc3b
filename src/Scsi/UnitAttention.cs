namespace Gateway.Scsi;

/// <summary>Conditions that initiators are told of with UNIT ATTENTION (SAM-5 5.14), in the order in which they are reported.</summary>
public enum UnitAttention
{
    /// <summary>29h/00h POWER ON, RESET, OR BUS DEVICE RESET OCCURRED.</summary>
    Reset = 0,

    /// <summary>2Ah/01h MODE PARAMETERS CHANGED, from outside the SCSI domain.</summary>
    ModeParametersChanged = 1,

    /// <summary>2Ah/09h CAPACITY DATA HAS CHANGED.</summary>
    CapacityDataChanged = 2,

    /// <summary>3Fh/03h INQUIRY DATA HAS CHANGED.</summary>
    InquiryDataChanged = 3,
}
