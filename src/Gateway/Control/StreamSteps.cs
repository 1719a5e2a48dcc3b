using System.Threading.Channels;
using Grpc.Core;

namespace Gateway.Control;

/// <summary>
/// Sends what work says of itself, from any of its threads, while it goes on: a stream takes one message at a time. Whoever reads slowly misses steps, the work never waits for
/// them; the messages of <see cref="EndAsync"/> all arrive, after those before.
/// </summary>
internal sealed class StreamSteps<T> : IAsyncDisposable
{
    private readonly IServerStreamWriter<T> _stream;
    private readonly Channel<T> _steps = Channel.CreateBounded<T>(new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropOldest, SingleReader = true });
    private readonly SemaphoreSlim _turn = new(1);
    private readonly Task _sending;

    public StreamSteps(IServerStreamWriter<T> stream)
    {
        _stream = stream;
        _sending = SendAsync();
    }

    /// <summary>Says how far the work is.</summary>
    public void Tell(T step) => _steps.Writer.TryWrite(step);

    /// <summary>Says what came of it.</summary>
    public async Task EndAsync(T last, CancellationToken cancellationToken)
    {
        await _turn.WaitAsync(cancellationToken);
        try
        {
            while (_steps.Reader.TryRead(out var step)) await _stream.WriteAsync(step, cancellationToken);
            await _stream.WriteAsync(last, cancellationToken);
        }
        finally
        {
            _turn.Release();
        }
    }

    /// <summary>Waits until nothing is being sent: a stream must be left alone once its call has ended.</summary>
    public async ValueTask DisposeAsync()
    {
        _steps.Writer.TryComplete();
        await _sending;
        _turn.Dispose();
    }

    private async Task SendAsync()
    {
        while (await _steps.Reader.WaitToReadAsync())
        {
            await _turn.WaitAsync();
            try
            {
                if (_steps.Reader.TryRead(out var step)) await _stream.WriteAsync(step);
            }
            catch (Exception e) when (e is InvalidOperationException or RpcException or IOException or OperationCanceledException)
            {
                return; // The caller is gone; the call itself tells.
            }
            finally
            {
                _turn.Release();
            }
        }
    }
}
