namespace Gateway.Scsi;

/// <summary>Ends commands that return parameter data.</summary>
internal static class DataIn
{
    /// <summary>Ends the command with GOOD and as much of <paramref name="data"/> as allocation length and buffer take.</summary>
    /// <remarks>SPC-5 4.2.5.6: truncation by the allocation length is not an error. Bytes of the buffer past the data stay as they are.</remarks>
    public static void Complete(ScsiCommand command, ReadOnlySpan<byte> data, uint allocationLength)
    {
        var length = (int)Math.Min(Math.Min((uint)data.Length, allocationLength), (uint)command.Data.LengthBytes);
        command.Data.CopyFrom(0, data[..length]);
        command.CompleteGood(length);
    }
}
