using Gateway.Tests.Shared;

namespace Gateway.Scsi.Tests;

/// <summary>A logical unit over a device in memory, and what came of the last command.</summary>
internal sealed class UnitWorld
{
    public UnitWorld(LogicalUnitOptions? options = null, ulong capacityBlocks = 1024, int blockLengthBytes = 512, int physicalBlockLengthBytes = 4096)
    {
        Device = new MemoryBlockDevice(capacityBlocks, blockLengthBytes, physicalBlockLengthBytes);
        Unit = new LogicalUnit(Device, options ?? new LogicalUnitOptions());
    }

    public MemoryBlockDevice Device { get; }

    public LogicalUnit Unit { get; }

    public ScsiCommand Command { get; } = new();

    /// <summary>Sends a command without data, or with a Data-Out buffer.</summary>
    public async Task SendAsync(byte[] cdb, byte[]? dataOut = null, CancellationToken cancellationToken = default)
    {
        using var data = new GuardedData(dataOut?.Length ?? 0, 7, 512, 1, 300);
        data.Set(dataOut);
        Command.Begin(cdb);
        data.AddTo(Command.Data);
        await Unit.ExecuteAsync(Command, cancellationToken);
        Assert.True(data.GuardsIntact());
    }

    /// <summary>Sends a command with a Data-In buffer, and returns what is in it, whether written or not.</summary>
    public async Task<byte[]> ReceiveAsync(byte[] cdb, int bufferLengthBytes, params int[] pieceLengths)
    {
        using var data = new GuardedData(bufferLengthBytes, pieceLengths);
        Command.Begin(cdb);
        data.AddTo(Command.Data);
        await Unit.ExecuteAsync(Command, CancellationToken.None);
        Assert.True(data.GuardsIntact());
        return data.ToArray();
    }

    /// <summary>Sends a command that must end with GOOD, and returns the bytes that were filled.</summary>
    public async Task<byte[]> ReceiveGoodAsync(byte[] cdb, int bufferLengthBytes = 1024)
    {
        var bytes = await ReceiveAsync(cdb, bufferLengthBytes);
        Assert.Equal(ScsiStatus.Good, Command.Status);
        return bytes[..Command.DataInLengthBytes!.Value];
    }

    public void AssertGood() => Assert.Equal((ScsiStatus.Good, SenseData.None), (Command.Status, Command.Sense));

    public void AssertSense(SenseData expected)
    {
        Assert.Equal(ScsiStatus.CheckCondition, Command.Status);
        Assert.Equal(expected, Command.Sense);
    }

    /// <summary>Fills the medium with bytes that differ from block to block.</summary>
    public void FillMedium()
    {
        var bytes = Device.Bytes;
        for (var i = 0; i < bytes.Length; i++) bytes[i] = (byte)(i * 7 + i / 512 * 13 + 1);
    }
}
