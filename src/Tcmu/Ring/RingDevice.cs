using System.Globalization;
using System.Runtime.CompilerServices;
using Gateway.Diagnostics;
using Gateway.Scsi;
using Gateway.Tcmu.Interop;
using Microsoft.Extensions.Logging;

namespace Gateway.Tcmu;

/// <summary>Where a <see cref="RingDevice"/> is in its life.</summary>
public enum RingDeviceState
{
    Created,
    Running,

    /// <summary>Takes no new commands; those in flight are being answered.</summary>
    Stopping,

    /// <summary>The ring was unusable; it is not served any more. Commands in flight are still answered if the ring allows.</summary>
    RingBroken,

    /// <summary>Unmapped and closed, after a stop or a break.</summary>
    Stopped,
}

/// <summary>Serves one TCMU device: takes commands off its ring, has a target execute them, and answers them in batches.</summary>
/// <remarks>
/// One dedicated thread owns the ring. Each pass: (1) answer what completed on other threads; (2) take new entries until a batch is full and
/// start each command; what completes at once is answered at once. In this order neither starves the other: without new entries the
/// completions run out. (3) if there were several, the target was told that they come together (<see cref="IBurstTarget"/>), and what it then did
/// with them in one go is answered; (4) publish cmd_tail and write one doorbell; (5) if nothing was done, sleep until the doorbell or a completion. It allocates nothing per command once its pools have grown to the load.
/// Commands in flight are bounded by the kernel: at most 65,535, and what ring and data area hold.
/// The public members are thread safe.
/// </remarks>
public sealed class RingDevice : IAsyncDisposable
{
    // SPC-5: ABORTED COMMAND, INTERNAL TARGET FAILURE. Linux retries it at once, five times.
    private static readonly SenseData InternalTargetFailure = new(SenseKey.AbortedCommand, 0x44, 0x00);

    // Commands kept for reuse; more than this in flight are allocated anew, so that a burst does not stay in memory.
    private const int PooledCommandsMax = 4096;

    private readonly string _name;
    private readonly IRingPort _port;
    private readonly CommandRing _ring;
    private readonly IScsiTarget _target;
    private readonly IBurstTarget? _bursts;
    private readonly DeviceTracing? _tracing;
    private readonly RingDeviceOptions _options;
    private readonly TaskManagementHandler? _taskManagement;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;

    private readonly EventSignal _wake = new();
    private readonly CompletionStack _completed;
    private readonly InFlightTable _inFlight = new();
    private readonly Stack<RingCommand> _pool = new();
    private readonly TaskCompletionSource _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource<string> _broken = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Lock _stateLock = new();
    private RingDeviceState _state = RingDeviceState.Created;

    // Of the device's thread, except that these two are set by any.
    private volatile bool _stopping;
    private volatile bool _givingUp;
    private bool _gaveUp;
    private bool _taking = true;
    private bool _publishing = true;
    private bool _doorbellFailed;
    private RingCommand? _waiting;
    private int _batchCommands;
    private long _batchDataBytes;
    private readonly CommandCounters _counters = new();
    private long _passAt;
    private long _waited;
    private bool _slept;
    private long _commands;
    private long _completedCount;
    private long _faults;
    private long _taskManagementCount;
    private long _unknown;
    private long _doorbells;
    private long _wakes;

    /// <summary>Attaches to a ring; takes nothing off it yet.</summary>
    /// <param name="name">For logs and the thread's name.</param>
    /// <param name="port">The ring; owned from here on, also if this throws.</param>
    /// <param name="target">Executes the commands.</param>
    /// <param name="options">How to serve.</param>
    /// <param name="taskManagement">Told of task management functions; null: they are only counted.</param>
    /// <param name="time">Clock of the busy poll.</param>
    /// <param name="logger">Where to log.</param>
    /// <exception cref="RingBrokenException">The mailbox is not one this program can serve.</exception>
    public RingDevice(
        string name, IRingPort port, IScsiTarget target, RingDeviceOptions options, TaskManagementHandler? taskManagement, TimeProvider time, ILogger logger)
    {
        (_name, _port, _target, _options, _taskManagement, _time, _logger) = (name, port, target, options, taskManagement, time, logger);
        _completed = new CompletionStack(_wake);
        _bursts = target as IBurstTarget;
        _tracing = options.Tracing;
        try
        {
            _ring = new CommandRing(port.Memory);
        }
        catch
        {
            ReleaseResources();
            throw;
        }
    }

    /// <summary>Where the device is in its life.</summary>
    public RingDeviceState State
    {
        get
        {
            lock (_stateLock) return _state;
        }
    }

    /// <summary>Completes, with the reason, if the ring breaks: the owner should stop the device, and may open it anew with a ring reset.</summary>
    public Task<string> RingBroken => _broken.Task;

    /// <summary>Completes when the thread has ended and the ring is unmapped and closed (but after a bug in here: then it may stay mapped). Never fails.</summary>
    public Task Ended => _ended.Task;

    /// <summary>Counts, each read on its own.</summary>
    public RingStatistics Statistics => new(
        Volatile.Read(ref _commands), Volatile.Read(ref _completedCount), (int)(Volatile.Read(ref _commands) - Volatile.Read(ref _completedCount)),
        Volatile.Read(ref _faults), Volatile.Read(ref _taskManagementCount), Volatile.Read(ref _unknown), Volatile.Read(ref _doorbells), Volatile.Read(ref _wakes), _ring.UsedBytes, _ring.Mailbox.RingLengthBytes);

    /// <summary>
    /// For how long the oldest of the commands in flight has been so; zero if there are none. A look at each of them, of which the device's thread notices nothing: for
    /// once a second, not for each command.
    /// </summary>
    public TimeSpan OldestInFlight => Statistics.InFlight > 0 && _inFlight.OldestTakenAt() is { } oldest ? _time.GetElapsedTime(oldest) : TimeSpan.Zero;

    /// <summary>What changes with every pass of the device's thread; null while it sleeps, for want of work. A thread that hangs shows the same mark for long.</summary>
    public long? PassMark => _completed.IsAsleep ? null : Volatile.Read(ref _passAt);

    /// <summary>What the commands of one kind have done. Times are exact to one pass over the ring, which takes and answers many at once.</summary>
    public CommandCounts Count(CommandKind kind) => _counters.Read(kind);

    /// <summary>How long commands had been on the ring when they were taken, at most: a count for each bucket of <see cref="LatencyBuckets"/>.</summary>
    public IReadOnlyList<long> Waits => _counters.ReadWaits();

    /// <summary>Commands that ended in CHECK CONDITION, by key, ASC and ASCQ.</summary>
    public IReadOnlyList<(SenseData Sense, long Commands)> Senses => _counters.ReadSenses();

    /// <summary>Starts to take commands. Once.</summary>
    public Task StartAsync(CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        lock (_stateLock)
        {
            if (_state != RingDeviceState.Created) throw new InvalidOperationException($"{_name} was started before.");
            _state = RingDeviceState.Running;
        }

        RingLog.Started(_logger, _name, _ring.Mailbox.Flags, _ring.Mailbox.RingLengthBytes, _ring.Mailbox.MappingLengthBytes - _ring.Mailbox.DataAreaOffset);
        new Thread(Run) { Name = _name, IsBackground = true }.Start();
        return Task.CompletedTask;
    }

    /// <summary>Takes no new commands, waits for those in flight, answers them, unmaps and closes.</summary>
    /// <remarks>
    /// When the token is cancelled first, the commands in flight are cancelled and this throws; the ring stays mapped until the last of them
    /// has let go of its buffers, and is released then (<see cref="Ended"/>). Entries not taken stay in the ring for the next consumer.
    /// </remarks>
    public async Task StopAsync(CancellationToken cancellationToken)
    {
        if (!BeginStop()) return;
        _stopping = true;
        WakeThread();
        try
        {
            await _ended.Task.WaitAsync(cancellationToken);
        }
        catch (OperationCanceledException)
        {
            RingLog.StopGivenUp(_logger, _name, Statistics.InFlight);
            _givingUp = true;
            WakeThread();
            throw;
        }
    }

    /// <summary>Stops without a limit of time.</summary>
    public async ValueTask DisposeAsync() => await StopAsync(CancellationToken.None);

    /// <summary>False if there is no thread to wait for; what there was is released.</summary>
    private bool BeginStop()
    {
        lock (_stateLock)
        {
            if (_state == RingDeviceState.Created)
            {
                _state = RingDeviceState.Stopped;
                ReleaseResources();
                _ended.TrySetResult();
            }

            if (_state == RingDeviceState.Running) _state = RingDeviceState.Stopping;
            return _state != RingDeviceState.Stopped;
        }
    }

    private void WakeThread()
    {
        Interlocked.MemoryBarrier(); // The store of what it should see before Wake's look at whether the thread sleeps (CompletionStack).
        _completed.Wake();
    }

    private void Run()
    {
        try
        {
            // A broken ring is kept until the owner stops the device, so that it is not opened again before the owner knows.
            while (!_stopping || _inFlight.Count > 0)
            {
                if (_givingUp && !_gaveUp) GiveUp();
                var before = _passAt;
                _passAt = _time.GetTimestamp(); // For all that this pass takes and answers: one look at the clock, not two for each command.
                // Up to now since the last pass began to look. When it slept, the doorbell woke it: how long that took cannot be seen from here.
                _waited = _slept || before == 0 ? 0 : Nanoseconds(before, _passAt);
                _slept = false;
                var worked = AnswerCompleted();
                worked |= TakeEntries();
                Flush();
                if (!worked && !SpinForWork()) Sleep();
            }
        }
        catch (Exception e)
        {
            // A bug here. Commands in flight own buffers, so the mapping has to stay; the process goes on with its other devices.
            Break($"Unexpected exception: {e.Message}", e);
            _publishing = false;
        }

        if (_inFlight.Count == 0) ReleaseResources();
        lock (_stateLock) _state = RingDeviceState.Stopped;
        RingLog.Stopped(_logger, _name, _commands);
        _ended.TrySetResult();
    }

    /// <summary>Takes new entries until there are none, or a batch is full.</summary>
    private bool TakeEntries()
    {
        var worked = false;
        var inBurst = false;
        var before = _commands;
        try
        {
            while (_taking && !_stopping && !BatchIsFull && _ring.TryTake(out var entry, out var bytes, out var offset))
            {
                worked = true;
                if (!inBurst && _bursts is not null && _ring.HasNew)
                {
                    inBurst = true;
                    _bursts.BeginBurst();
                }

                switch (entry.Op)
                {
                    case RingOp.Command:
                        TakeCommand(entry.CmdId, bytes, offset);
                        break;
                    case RingOp.TaskManagement:
                        TakeTaskManagement(bytes);
                        break;
                    default:
                        if (_unknown++ == 0) RingLog.UnknownEntry(_logger, _name, (int)entry.Op);
                        break;
                }
            }
        }
        catch (RingBrokenException e)
        {
            Break(e.Message, null);
        }
        finally
        {
            if (_tracing is not null) DeviceTracing.EndOfPass(); // What a burst ends with was noted by whom it belongs to.
            if (inBurst) _bursts!.EndBurst();
        }

        if (_commands > before) _counters.AddWaits(_waited, _commands - before);

        if (inBurst) AnswerCompleted(); // What a burst ends with belongs to this pass, not to the next one's answers.
        return worked;
    }

    private void TakeCommand(ushort cmdId, ReadOnlySpan<byte> entry, int offset)
    {
        if (!_pool.TryPop(out var command)) command = new RingCommand(_completed);
        command.CmdId = cmdId;
        command.TakenAt = _passAt;
        CommandEntry.CopyRequest(entry, offset, _ring.Mailbox, _port.Memory.Address, command.Scsi);
        _inFlight.Add(command);
        _tracing?.Begin(command.Trace);
        Volatile.Write(ref _commands, _commands + 1);
        Execute(command);
    }

    private void Execute(RingCommand command)
    {
        ValueTaskAwaiter awaiter;
        try
        {
#pragma warning disable CA2012 // The awaiter is kept in place of the ValueTask, and its result taken once: awaiting would allocate.
            awaiter = _target.ExecuteAsync(command.Scsi, command.Cancellation.Token).GetAwaiter();
#pragma warning restore CA2012
        }
        catch (Exception e)
        {
            EndFaulted(command, e);
            Answer(command);
            return;
        }

        command.Awaiter = awaiter;
        if (awaiter.IsCompleted)
        {
            TakeResult(command);
            Answer(command);
        }
        else
        {
            awaiter.UnsafeOnCompleted(command.Continuation);
            _batchCommands++; // Counts towards the batch, so that completions get their turn under a flood of slow commands.
        }
    }

    private bool AnswerCompleted()
    {
        // What did not fit the last batch comes before what completed since.
        _waiting ??= _completed.TakeAll();
        var worked = _waiting is not null;
        while (_waiting is { } command && !BatchIsFull)
        {
            _waiting = command.Next;
            command.Next = null;
            TakeResult(command);
            Answer(command);
        }

        return worked;
    }

    private void TakeResult(RingCommand command)
    {
        try
        {
            command.Awaiter.GetResult();
        }
        catch (OperationCanceledException) when (command.Cancellation.IsCancellationRequested)
        {
            command.Scsi.Complete(ScsiStatus.TaskAborted);
        }
        catch (Exception e)
        {
            EndFaulted(command, e);
        }

        command.Awaiter = default;
        // Nobody but us has given these up: the initiator tries again, here or at our successor.
        if (_gaveUp && command.Scsi.Status == ScsiStatus.TaskAborted) command.Scsi.Complete(ScsiStatus.Busy);
    }

    private void EndFaulted(RingCommand command, Exception exception)
    {
        _faults++;
        command.Scsi.CompleteCheckCondition(InternalTargetFailure);
        RingLog.CommandFault(_logger, _name, command.Scsi.Cdb[0], exception);
    }

    private void Answer(RingCommand command)
    {
        _batchCommands++;
        _batchDataBytes += command.Scsi.DataInLengthBytes ?? command.Scsi.Data.LengthBytes;
        if (_publishing) _ring.Complete(command.CmdId, command.Scsi);
        if (command.TakenAt == _passAt) _counters.AddOfPass(command.Scsi);
        else _counters.Add(command.Scsi, Nanoseconds(command.TakenAt, _passAt));
        if (_tracing is not null && _tracing.IsKept(command.Trace, _passAt - command.TakenAt)) EndTrace(command, _tracing);
        _inFlight.Remove(command);
        Volatile.Write(ref _completedCount, _completedCount + 1);
        if (_pool.Count >= PooledCommandsMax) return;
        command.Renew();
        _pool.Push(command);
    }

    private void EndTrace(RingCommand command, DeviceTracing tracing)
    {
        var scsi = command.Scsi;
        var outcome = scsi.Status switch
        {
            ScsiStatus.Good => null,
            ScsiStatus.CheckCondition => string.Create(CultureInfo.InvariantCulture, $"{scsi.Sense.Key} {scsi.Sense.Asc:X2}h/{scsi.Sense.Ascq:X2}h"),
            _ => scsi.Status.ToString(),
        };
        tracing.End(command.Trace, scsi.Cdb[0], outcome, command.TakenAt, _time.GetTimestamp());
    }

    private bool BatchIsFull => _batchCommands >= _options.BatchCommandsMax || _batchDataBytes >= _options.BatchDataMaxBytes;

    /// <summary>Publishes the answers of this pass.</summary>
    private void Flush()
    {
        (_batchCommands, _batchDataBytes) = (0, 0);
        if (_counters.HasPass) _counters.EndPass(Nanoseconds(_passAt, _time.GetTimestamp()));
        if (!_publishing) return;
        try
        {
            if (!_ring.Publish()) return;
            _doorbells++;
            _port.Kick();
        }
        catch (RingBrokenException e)
        {
            _publishing = false;
            Break(e.Message, null);
        }
        catch (ErrnoException e)
        {
            // The kernel takes completions from timers too; but a device that refuses its doorbell is gone.
            Break($"The doorbell cannot be written: {e.Message}", null);
        }
    }

    private long Nanoseconds(long from, long to) => _time.GetElapsedTime(from, to).Ticks * TimeSpan.NanosecondsPerTick;

    private bool SpinForWork()
    {
        if (_options.BusyPoll <= TimeSpan.Zero || _stopping || !_taking) return false;
        var start = _time.GetTimestamp();
        do
        {
            if (_ring.HasNew || !_completed.IsEmpty || _stopping) return true;
            Thread.SpinWait(20);
        }
        while (_time.GetElapsedTime(start) < _options.BusyPoll);
        return false;
    }

    private void Sleep()
    {
        _completed.BeginSleep(); // From here on, a completion or a stop sets _wake.
        if (!_completed.IsEmpty || (_stopping && _inFlight.Count == 0) || (_givingUp && !_gaveUp) || (_taking && !_stopping && _ring.HasNew))
        {
            _completed.EndSleep();
            return;
        }

        var (doorbell, wake) = Poller.Wait(_doorbellFailed ? null : _port.Doorbell, _wake.Descriptor);
        _completed.EndSleep();
        _slept = true;
        _wakes++;
        if (wake != Readiness.None) _wake.Clear();
        if (doorbell != Readiness.None) ClearDoorbell(doorbell);
    }

    private void ClearDoorbell(Readiness readiness)
    {
        try
        {
            if ((readiness & Readiness.Failed) == 0)
            {
                _port.ClearDoorbell();
                return;
            }

            Break("The device is gone.", null);
        }
        catch (ErrnoException e)
        {
            Break($"The doorbell cannot be read: {e.Message}", null);
        }

        _doorbellFailed = true;
    }

    private void TakeTaskManagement(ReadOnlySpan<byte> entry)
    {
        var type = TaskManagementEntry.Parse(entry, out var cmdIds);
        _taskManagementCount++;
        RingLog.TaskManagement(_logger, _name, type, cmdIds.Length);
        try
        {
            _taskManagement?.Invoke(type, cmdIds);
        }
        catch (Exception e)
        {
            RingLog.TaskManagementFault(_logger, _name, e);
        }

        // An id that is not in flight has been answered already: it may name another command soon, but not before this entry was taken.
        foreach (var id in cmdIds)
            if (_inFlight.Find(id) is { } command) Cancel(command);
    }

    /// <summary>Cancels what is in flight: the stop waits for it no longer.</summary>
    private void GiveUp()
    {
        _gaveUp = true;
        foreach (var command in _inFlight.ToList()) Cancel(command);
    }

    /// <summary>
    /// Cancels a command's execution. What it ends at once on this thread is queued, not answered, so that the command stays what it is
    /// until this returns; then nothing of the cancellation is left that could reach its next life.
    /// </summary>
    private void Cancel(RingCommand command)
    {
        try
        {
            command.Cancellation.Cancel();
        }
        catch (AggregateException e)
        {
            RingLog.CancellationFault(_logger, _name, command.Scsi.Cdb[0], e);
        }
    }

    private void Break(string reason, Exception? exception)
    {
        _taking = false;
        lock (_stateLock)
        {
            if (_state == RingDeviceState.Running) _state = RingDeviceState.RingBroken;
        }

        if (_broken.TrySetResult(reason)) RingLog.Broken(_logger, _name, reason, exception);
    }

    /// <summary>No command may own a buffer any more.</summary>
    private void ReleaseResources()
    {
        _port.Dispose();
        _wake.Dispose();
    }
}
