namespace Gateway.Scsi;

/// <summary>The limits of the block limits VPD page, in logical blocks: reported there, and enforced by the commands.</summary>
internal sealed class UnitLimits(LogicalUnitOptions options, BlockGeometry geometry)
{
    public uint TransferBlocksMax { get; } = (uint)(options.MaximumTransferLengthBytes / geometry.BlockLengthBytes);

    public uint TransferBlocksOptimal { get; } =
        (uint)(Math.Min(options.OptimalTransferLengthBytes, options.MaximumTransferLengthBytes) / geometry.BlockLengthBytes);

    public uint UnmapBlocksMax { get; } = (uint)Math.Min(uint.MaxValue, options.MaximumUnmapLengthBytes / geometry.BlockLengthBytes);

    public int UnmapDescriptorsMax { get; } = options.MaximumUnmapDescriptors;

    public uint WriteSameBlocksMax { get; } = (uint)(options.MaximumWriteSameLengthBytes / geometry.BlockLengthBytes);

    /// <summary>Logical blocks in a physical one: the granularity of transfers and of UNMAP.</summary>
    public uint PhysicalBlocks { get; } = (uint)(geometry.PhysicalBlockLengthBytes / geometry.BlockLengthBytes);
}
