using System.Runtime.InteropServices;
using Gateway.Scsi;
using Gateway.Tcmu.Interop;
using Gateway.Tcmu.Simulation;
using Xunit;

namespace Gateway.Tcmu.Tests.Ring;

/// <summary>The simulator finds what a wrong consumer does; a strict judge that passes everyone would prove nothing.</summary>
public sealed class RingSimulatorTests : ICompletionSink, IDisposable
{
    private readonly RingSimulator _simulator = new(new RingSimulatorOptions());
    private readonly ScsiCommand _answer = new();
    private int _completed;

    [Fact]
    public void Consumer_Correct_NoViolation()
    {
        var (entry, length) = Submit();

        Answer(entry, 1);
        Tail((uint)length);

        AssertViolation(null);
        Assert.Equal(1, _completed);
    }

    [Fact]
    public void TailMoved_NothingWritten_StaleFlagsAreFound()
    {
        var (_, length) = Submit();

        Tail((uint)length);

        AssertViolation("uflags FFh");
    }

    [Fact]
    public void Answer_UnknownCmdId_BreaksTheRing()
    {
        var (entry, length) = Submit();

        Answer(entry, 77);
        Tail((uint)length);

        AssertViolation("cmd_id 77");
        Assert.True(_simulator.IsBroken);
    }

    [Fact]
    public void Answer_Twice_BreaksTheRing()
    {
        var (first, length) = Submit();
        var (second, _) = Submit();

        Answer(first, 1);
        Answer(second, 1);
        Tail((uint)length * 2);

        AssertViolation("cmd_id 1 was completed but is not outstanding");
    }

    [Theory]
    [InlineData(8u, "boundary")]
    [InlineData(480u, "beyond")]
    [InlineData(0x7000_0000u, "boundary")]
    public void Tail_NotAtAnEntry_IsFound(uint tail, string violation)
    {
        var (entry, _) = Submit();

        Answer(entry, 1);
        Tail(tail);

        AssertViolation(violation);
    }

    [Fact]
    public void DataArea_WrittenOutsideTheIovec_IsFound()
    {
        Assert.True(_simulator.TrySubmit(new byte[6], DataDirection.FromDevice, 100, [], 0));
        var entry = _simulator.Memory.Span(RingSimulator.RingStartBytes, 112);
        var offset = MemoryMarshal.Read<long>(entry[48..]);
        _simulator.Memory.Span(offset, 101)[100] = 1;

        Answer(entry, 1);
        Tail(_simulator.Head);

        AssertViolation("around the iovecs");
    }

    [Fact]
    public void DataArea_WrittenWhileFree_IsFound()
    {
        _simulator.Memory.Span(_simulator.Memory.LengthBytes - 10, 1)[0] = 0;

        _simulator.CheckFreeDataArea();

        AssertViolation("free blocks");
    }

    [Fact]
    public void ReadLength_LongerThanTheTransfer_IsFound()
    {
        Assert.True(_simulator.TrySubmit(new byte[6], DataDirection.FromDevice, 100, [], 0));
        var entry = _simulator.Memory.Span(RingSimulator.RingStartBytes, 112);

        Answer(entry, 1);
        entry[7] = 2;
        MemoryMarshal.Write(entry[12..], 101);
        Tail(_simulator.Head);

        AssertViolation("READ_LEN of 101");
    }

    [Fact]
    public void UnknownEntry_NotMarked_IsFound()
    {
        Assert.True(_simulator.TrySubmitUnknown(4, 64));

        Tail(64);

        AssertViolation("not UNKNOWN_OP");
    }

    [Fact]
    public void Ring_Full_LeavesTheLastByteFree()
    {
        while (_simulator.TrySubmit(new byte[6], DataDirection.None, 0, [], 0))
        {
        }

        Assert.NotEqual(0u, _simulator.Head);
    }

    void ICompletionSink.OnCompleted(SimulatedCommand command) => _completed++;

    public void Dispose() => _simulator.Dispose();

    private (long Entry, int Length) Submit()
    {
        var at = RingSimulator.RingStartBytes + _simulator.Head;
        Assert.True(_simulator.TrySubmit(new byte[6], DataDirection.None, 0, [], 0));
        return (at, (int)(RingSimulator.RingStartBytes + _simulator.Head - at));
    }

    private void Answer(long at, ushort cmdId) => Answer(_simulator.Memory.Span(at, 112), cmdId);

    private void Answer(Span<byte> entry, ushort cmdId)
    {
        _answer.Begin(new byte[6]);
        CommandEntry.WriteResponse(entry, cmdId, _answer, MailboxFlags.None);
    }

    private void Tail(uint tail)
    {
        Volatile.Write(ref _simulator.Memory.Field(Mailbox.CmdTailOffset), tail);
        _simulator.Reap(this);
    }

    private void AssertViolation(string? violation)
    {
        if (violation is null) Assert.Empty(_simulator.Violations);
        else Assert.Contains(_simulator.Violations, seen => seen.Contains(violation, StringComparison.Ordinal));
    }
}
