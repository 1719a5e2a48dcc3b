using System.Runtime.InteropServices;

namespace Gateway.Volumes.Map;

/// <summary>Blocks [Start, End) of a leaf's span, and where the first of them is. 14 bytes.</summary>
/// <remarks>
/// A run may go on through several full frames (<see cref="SegmentLocation.AdvanceThroughFrames"/>): that makes one run of what was written
/// sequentially. In an overlay, a location that is trimmed marks a hole that hides the base.
/// </remarks>
[StructLayout(LayoutKind.Sequential, Pack = 2)]
internal readonly struct LeafRun(uint start, uint end, SegmentLocation location)
{
    private readonly ushort _start = (ushort)start;
    private readonly ushort _last = (ushort)(end - 1);
    public readonly SegmentLocation Location = location;

    public uint Start => _start;

    public uint End => _last + 1u;

    public uint Blocks => End - Start;
}
