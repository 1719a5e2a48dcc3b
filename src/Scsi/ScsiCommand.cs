namespace Gateway.Scsi;

/// <summary>One SCSI command on its way through the gateway: request, data, and the answer. Reused; allocates nothing per command.</summary>
/// <remarks>The transport fills the request and owns the object; the target fills the answer and must not keep a reference after it completes.</remarks>
public sealed class ScsiCommand
{
    /// <summary>The longest CDB: a variable-length one (SPC-5 4.2.3), 8 + 255 bytes at most, rounded up.</summary>
    public const int CdbLengthMaxBytes = 264;

    private readonly byte[] _cdb = new byte[CdbLengthMaxBytes];
    private int _cdbLengthBytes;
    private PendingCommand? _pending;

    /// <summary>The command descriptor block. At least 6 bytes once set; at least as many as its operation code calls for.</summary>
    public ReadOnlySpan<byte> Cdb => _cdb.AsSpan(0, _cdbLengthBytes);

    /// <summary>
    /// The initiator's buffer: Data-Out for commands that write, Data-In for those that read. Its length is what the initiator
    /// announced, and may be shorter or longer than the CDB says.
    /// </summary>
    public ScatterList Data { get; } = new();

    /// <summary>SAM status, valid after completion.</summary>
    public ScsiStatus Status { get; private set; }

    /// <summary>Sense data, meaningful with CHECK CONDITION.</summary>
    public SenseData Sense { get; private set; }

    /// <summary>For commands that read: how many bytes of <see cref="Data"/> were filled. Null: not a Data-In command, or all of them.</summary>
    public int? DataInLengthBytes { get; private set; }

    /// <summary>Its way of waiting for a device.</summary>
    internal PendingCommand Pending => _pending ??= new PendingCommand(this);

    /// <summary>Takes a copy of the CDB and forgets the previous command, its data list included.</summary>
    public void Begin(ReadOnlySpan<byte> cdb)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(cdb.Length, CdbLengthMaxBytes);
        cdb.CopyTo(_cdb);
        _cdb.AsSpan(cdb.Length, Math.Max(0, 16 - cdb.Length)).Clear();
        _cdbLengthBytes = cdb.Length;
        Data.Reset();
        Status = ScsiStatus.Good;
        Sense = default;
        DataInLengthBytes = null;
    }

    /// <summary>Ends the command with GOOD.</summary>
    public void CompleteGood() => Status = ScsiStatus.Good;

    /// <summary>Ends a Data-In command with GOOD, after <paramref name="dataInLengthBytes"/> bytes were placed in <see cref="Data"/>.</summary>
    public void CompleteGood(int dataInLengthBytes)
    {
        Status = ScsiStatus.Good;
        DataInLengthBytes = dataInLengthBytes;
    }

    /// <summary>Ends the command with CHECK CONDITION.</summary>
    public void CompleteCheckCondition(SenseData sense)
    {
        Status = ScsiStatus.CheckCondition;
        Sense = sense;
    }

    /// <summary>Ends the command with a status that carries no sense data.</summary>
    public void Complete(ScsiStatus status) => Status = status;
}

/// <summary>Executes SCSI commands: what a transport (the TCMU ring) hands them to.</summary>
public interface IScsiTarget
{
    /// <summary>Executes the command and leaves the answer in it. Never throws for anything an initiator sent.</summary>
    /// <remarks>Commands run concurrently; what can be answered at once completes synchronously and allocates nothing.</remarks>
    ValueTask ExecuteAsync(ScsiCommand command, CancellationToken cancellationToken);
}
