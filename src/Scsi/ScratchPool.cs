using Gateway.Scsi.Interop;

namespace Gateway.Scsi;

/// <summary>Memory for a command that cannot work in the initiator's buffer alone: a piece of data, and a list to describe it.</summary>
internal sealed class Scratch
{
    /// <summary>Length of <see cref="Buffer"/>: 256 KiB, many blocks of any length.</summary>
    public const int LengthBytes = 256 << 10;

    public NativeBuffer Buffer { get; } = new(LengthBytes);

    public ScatterList List { get; } = new();

    /// <summary>The list, made to describe the first <paramref name="lengthBytes"/> bytes of the buffer.</summary>
    public ScatterList Describe(int lengthBytes)
    {
        List.Reset();
        List.Add(Buffer, lengthBytes);
        return List;
    }
}

/// <summary>Scratch memory of the process, shared by all units. Thread safe.</summary>
/// <remarks>
/// At most <see cref="IdleMax"/> pieces (8 MiB) are kept; what is returned beyond that is freed. Pieces in use are bounded by the
/// commands in flight. A lock will do: READ and WRITE with matching lengths do not come here.
/// </remarks>
internal static class ScratchPool
{
    private const int IdleMax = 32;

    private static readonly Lock Gate = new();
    private static readonly Scratch?[] Idle = new Scratch?[IdleMax];
    private static int _idleCount;

    public static Scratch Rent()
    {
        lock (Gate)
        {
            if (_idleCount > 0)
            {
                var scratch = Idle[--_idleCount]!;
                Idle[_idleCount] = null;
                return scratch;
            }
        }

        return new Scratch();
    }

    public static void Return(Scratch scratch)
    {
        scratch.List.Reset();
        lock (Gate)
        {
            if (_idleCount < IdleMax)
            {
                Idle[_idleCount++] = scratch;
                return;
            }
        }

        scratch.Buffer.Dispose();
    }
}
