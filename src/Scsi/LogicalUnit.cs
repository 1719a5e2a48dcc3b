using System.Diagnostics;

namespace Gateway.Scsi;

/// <summary>A SCSI direct access block device over an <see cref="IBlockDevice"/> (SPC-4, SBC-3 and what later revisions made clearer).</summary>
/// <remarks>
/// Thread safe: commands run concurrently, and those on the same blocks have no defined order, as SIMPLE commands in SAM-5. CDBs and
/// parameter lists are not trusted; none makes <see cref="ExecuteAsync"/> throw. An exception of the device is a bug and comes through.
/// What is promised to initiators, command by command, is in docs/semantics.md.
/// </remarks>
public sealed class LogicalUnit : IScsiTarget, IBurstTarget
{
    private readonly UnitState _unit;
    private readonly InquiryCommand _inquiry;
    private readonly RequestSenseCommand _requestSense;
    private readonly CapacityCommand _capacity;
    private readonly ModeSenseCommand _modeSense;
    private readonly ModeSelectCommand _modeSelect;
    private readonly StartStopCommand _startStop;
    private readonly ReadCommand _read;
    private readonly WriteCommand _write;
    private readonly VerifyCommand _verify;
    private readonly SynchronizeCacheCommand _synchronizeCache;
    private readonly WriteSameCommand _writeSame;
    private readonly UnmapCommand _unmap;
    private readonly IBurstTarget? _bursts;

    /// <summary>Makes a unit over a device whose geometry, but for its capacity, stays as it is.</summary>
    /// <exception cref="ArgumentException">The options have faults; the message names all of them.</exception>
    public LogicalUnit(IBlockDevice device, LogicalUnitOptions options)
    {
        var faults = options.Validate();
        if (faults.Count > 0) throw new ArgumentException(string.Join(' ', faults), nameof(options));
        _unit = new UnitState(device, options);
        _inquiry = new InquiryCommand(_unit);
        _requestSense = new RequestSenseCommand(_unit);
        _capacity = new CapacityCommand(_unit);
        _modeSense = new ModeSenseCommand(_unit);
        _modeSelect = new ModeSelectCommand(_unit);
        _startStop = new StartStopCommand(_unit);
        _read = new ReadCommand(_unit);
        _write = new WriteCommand(_unit);
        _verify = new VerifyCommand(_unit);
        _synchronizeCache = new SynchronizeCacheCommand(_unit);
        _writeSame = new WriteSameCommand(_unit);
        _unmap = new UnmapCommand(_unit);
        _bursts = device as IBurstTarget;
    }

    /// <summary>WCE, as MODE SELECT or the kernel's RECONFIG last set it. Clear, writes that start from now on are durable when they complete.</summary>
    /// <remarks>Clearing it here does not flush what was written before: flush the device after.</remarks>
    public bool WriteCacheEnabled
    {
        get => _unit.WriteCacheEnabled;
        set => _unit.WriteCacheEnabled = value;
    }

    /// <summary>The unit's world-wide name as udev writes it: "naa." and 32 hex digits. The same on every gateway.</summary>
    public string NaaName => $"naa.{Convert.ToHexStringLower(_unit.Identity.Naa)}";

    /// <summary>START STOP UNIT has stopped the unit.</summary>
    public bool IsStopped => _unit.Stopped;

    /// <summary>Has the next command of any initiator, but for those that must not, end with UNIT ATTENTION. After a resize, for one.</summary>
    public void RaiseUnitAttention(UnitAttention attention) => _unit.Attentions.Raise(attention);

    /// <inheritdoc/>
    public void BeginBurst() => _bursts?.BeginBurst();

    /// <inheritdoc/>
    public void EndBurst() => _bursts?.EndBurst();

    /// <inheritdoc/>
    public ValueTask ExecuteAsync(ScsiCommand command, CancellationToken cancellationToken)
    {
        var supported = CommandTable.Find(command.Cdb, out var refusal);
        // SAM-5 5.14: INQUIRY and REQUEST SENSE are not answered with a unit attention.
        if (supported?.Kind is not (CommandKind.Inquiry or CommandKind.RequestSense) && _unit.Attentions.TryTake(out var attention))
        {
            command.CompleteCheckCondition(attention);
            return ValueTask.CompletedTask;
        }

        if (supported is not null) return DispatchAsync(supported.Kind, command, cancellationToken);
        command.CompleteCheckCondition(refusal);
        return ValueTask.CompletedTask;
    }

    private ValueTask DispatchAsync(CommandKind kind, ScsiCommand command, CancellationToken cancellationToken)
    {
        switch (kind)
        {
            case CommandKind.Read: return _read.ExecuteAsync(command, cancellationToken);
            case CommandKind.Write: return _write.ExecuteAsync(command, cancellationToken);
            case CommandKind.SynchronizeCache: return _synchronizeCache.ExecuteAsync(command, cancellationToken);
            case CommandKind.Unmap: return _unmap.ExecuteAsync(command, cancellationToken);
            case CommandKind.WriteSame: return _writeSame.ExecuteAsync(command, cancellationToken);
            case CommandKind.Verify: return _verify.ExecuteAsync(command, cancellationToken);
            case CommandKind.ModeSelect: return _modeSelect.ExecuteAsync(command, cancellationToken);
            case CommandKind.StartStopUnit: return _startStop.ExecuteAsync(command, cancellationToken);
            default:
                Execute(kind, command);
                return ValueTask.CompletedTask;
        }
    }

    /// <summary>The commands that never wait.</summary>
    private void Execute(CommandKind kind, ScsiCommand command)
    {
        switch (kind)
        {
            case CommandKind.TestUnitReady:
                if (_unit.AdmitMediaAccess(command)) command.CompleteGood();
                break;
            case CommandKind.RequestSense:
                _requestSense.Execute(command);
                break;
            case CommandKind.Inquiry:
                _inquiry.Execute(command);
                break;
            case CommandKind.ReadCapacity:
                _capacity.Execute(command);
                break;
            case CommandKind.ModeSense:
                _modeSense.Execute(command);
                break;
            case CommandKind.ReportSupportedOperationCodes:
                SupportedCodesCommand.Execute(command);
                break;
            default:
                throw new UnreachableException($"No command of kind {kind}.");
        }
    }
}
