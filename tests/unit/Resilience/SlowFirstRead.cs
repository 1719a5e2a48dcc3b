using Gateway.Backends.Core;

namespace Gateway.Backends.Resilience.Tests;

/// <summary>A store whose first read waits for the test, deaf to cancellation; each read fills its buffer with its number.</summary>
internal sealed class SlowFirstRead : IBlobStore
{
    private int _reads;

    public TaskCompletionSource First { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public TaskCompletionSource FirstDone { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public string Description => "slow";

    public async ValueTask<int> ReadAsync(BlobKey key, long offsetBytes, Memory<byte> destination, CancellationToken cancellationToken)
    {
        var number = Interlocked.Increment(ref _reads);
        if (number == 1) await First.Task;
        destination.Span.Fill((byte)number);
        if (number == 1) FirstDone.SetResult();
        return destination.Length;
    }

    public ValueTask PutAsync(BlobKey key, ReadOnlyMemory<byte> content, Precondition precondition, CancellationToken cancellationToken) => throw new NotSupportedException();

    public ValueTask<long?> GetLengthAsync(BlobKey key, CancellationToken cancellationToken) => throw new NotSupportedException();

    public IAsyncEnumerable<BlobInfo> ListAsync(string prefix, string? startAfter, CancellationToken cancellationToken) => throw new NotSupportedException();

    public IAsyncEnumerable<string> ListFoldersAsync(string prefix, CancellationToken cancellationToken) => throw new NotSupportedException();

    public ValueTask DeleteAsync(BlobKey key, CancellationToken cancellationToken) => throw new NotSupportedException();

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;
}
