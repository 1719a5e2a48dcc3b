namespace Gateway.Tcmu.Tests.Ring;

/// <summary>Awaits that a token is cancelled, which the device's thread does.</summary>
internal sealed class CancellationSignal : IDisposable
{
    private readonly TaskCompletionSource _seen = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly CancellationTokenRegistration _registration;

    public CancellationSignal(CancellationToken token) => _registration = token.UnsafeRegister(static seen => ((TaskCompletionSource)seen!).TrySetResult(), _seen);

    public Task Seen => _seen.Task.WaitAsync(TimeSpan.FromSeconds(10));

    public void Dispose() => _registration.Dispose();
}
