using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Gateway.Backends.Rados.Interop;

/// <summary><c>rados_completion_t</c>: tells that an operation has ended. No thread waits for it.</summary>
/// <remarks>
/// 1. <see cref="Create"/> gives librados a GCHandle of the promise. 2. If the operation started, librados calls <see cref="OnComplete"/> exactly once, from a thread of its own, and
/// the promise is fulfilled on the thread pool, so that librados's thread runs nothing of ours. If it did not start, <see cref="Abandon"/> takes the GCHandle back.
/// </remarks>
internal sealed class RadosCompletion() : SafeHandleZeroOrMinusOneIsInvalid(ownsHandle: true)
{
    private GCHandle _promise;
    private Task<int>? _task;

    /// <summary>The operation's result: 0 or more, or a negative errno.</summary>
    public Task<int> Task => _task!;

    public static unsafe RadosCompletion Create()
    {
        var source = new TaskCompletionSource<int>(TaskCreationOptions.RunContinuationsAsynchronously);
        var promise = GCHandle.Alloc(source);
        var code = Librados.CreateCompletion(GCHandle.ToIntPtr(promise), &OnComplete, out var completion);
        if (code < 0)
        {
            promise.Free();
            completion.Dispose();
            throw new RadosException(-code);
        }

        (completion._promise, completion._task) = (promise, source.Task);
        return completion;
    }

    /// <summary>For an operation that did not start: nobody will call.</summary>
    public void Abandon() => _promise.Free();

    protected override bool ReleaseHandle()
    {
        Librados.ReleaseCompletion(handle);
        return true;
    }

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static void OnComplete(nint completion, nint argument)
    {
        var promise = GCHandle.FromIntPtr(argument);
        var source = (TaskCompletionSource<int>)promise.Target!;
        promise.Free();
        source.SetResult(Librados.GetReturnValue(completion));
    }
}
