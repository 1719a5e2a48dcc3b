using System.Net;

namespace Gateway.Backends.S3;

/// <summary>A body that is sent from the caller's memory, without a copy.</summary>
/// <remarks>An HTTP client may return, with an error, while it still writes the body: <see cref="SentAsync"/> says when the memory is the caller's again.</remarks>
internal sealed class BlobContent(ReadOnlyMemory<byte> content) : HttpContent
{
    private readonly Lock _gate = new();
    private Task _sending = Task.CompletedTask;
    private bool _closed;

    /// <summary>Ends when no byte of the memory is read any more, and sees to it that none will be. Never throws.</summary>
    public async ValueTask SentAsync()
    {
        Task sending;
        lock (_gate)
        {
            _closed = true;
            sending = _sending;
        }

        await sending.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
    }

    protected override Task SerializeToStreamAsync(Stream stream, TransportContext? context) => SerializeToStreamAsync(stream, context, CancellationToken.None);

    protected override Task SerializeToStreamAsync(Stream stream, TransportContext? context, CancellationToken cancellationToken)
    {
        lock (_gate)
        {
            if (_closed) throw new OperationCanceledException("The request has ended before its body was sent.");
            return _sending = stream.WriteAsync(content, cancellationToken).AsTask();
        }
    }

    protected override bool TryComputeLength(out long length)
    {
        length = content.Length;
        return true;
    }
}
