using System.Runtime.InteropServices;
using Gateway.Scsi;
using Gateway.Scsi.Interop;

namespace Gateway.Transfer;

/// <summary>Room for one piece of a disk, as managed memory and as what a block device takes.</summary>
internal sealed class PieceBuffer(int lengthBytes)
{
    private readonly byte[] _bytes = GC.AllocateArray<byte>(lengthBytes, pinned: true);
    private readonly ScatterList _list = new();
    private byte[]? _others;

    public Memory<byte> Bytes(int length) => _bytes.AsMemory(0, length);

    /// <summary>As much room again, for what the piece is compared with.</summary>
    public Memory<byte> Others(int length) => (_others ??= new byte[_bytes.Length]).AsMemory(0, length);

    /// <summary>Its first bytes. One list at a time.</summary>
    public ScatterList List(int length)
    {
        _list.Reset();
        _list.Add(new Iovec(Marshal.UnsafeAddrOfPinnedArrayElement(_bytes, 0), length));
        return _list;
    }
}
