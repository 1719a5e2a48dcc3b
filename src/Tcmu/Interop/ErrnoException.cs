using System.Runtime.InteropServices;

namespace Gateway.Tcmu.Interop;

/// <summary>A system call failed. The message names the call, its object and the error.</summary>
public sealed class ErrnoException(string call, int errno) : IOException($"{call}: {Marshal.GetPInvokeErrorMessage(errno)} (errno {errno}).")
{
    /// <summary>The errno value, positive.</summary>
    public int Errno { get; } = errno;

    /// <summary>The error of the last P/Invoke on this thread.</summary>
    internal static ErrnoException Last(string call) => new(call, Marshal.GetLastPInvokeError());
}
