using Gateway.Volumes.Formats;

namespace Gateway.Volumes.Map;

/// <summary>A segment and what is left of it.</summary>
/// <param name="Sequence">Its place in the log.</param>
/// <param name="Kind">What it is made of.</param>
/// <param name="LengthBytes">Length of the blob.</param>
/// <param name="TotalBlocks">Blocks of data that it holds.</param>
/// <param name="LiveBlocks">How many of them the map refers to.</param>
internal readonly record struct SegmentUse(uint Sequence, SegmentKind Kind, int LengthBytes, uint TotalBlocks, uint LiveBlocks);
