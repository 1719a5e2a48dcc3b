using Gateway.Backends.Core;
using Gateway.Tests.Shared;
using Gateway.Tests.Shared.Stores;

namespace Gateway.Volumes.Tests.Names;

/// <summary>Cuts an operation off after each of its requests in turn, as a crash does, looks at what is left, and runs it again.</summary>
internal static class Interruption
{
    private const int RequestsMax = 1_000;

    /// <param name="bucket">What there is before; each turn has a copy of it.</param>
    /// <param name="operation">What is cut off.</param>
    /// <param name="afterCut">Looks at what is left, knowing whether the operation had ended.</param>
    /// <param name="afterAll">Looks at what is there when the operation was run again.</param>
    public static async Task AfterEachRequestAsync(MemoryBlobStore bucket, Func<IBlobStore, Task> operation, Func<MemoryBlobStore, bool, Task> afterCut, Func<MemoryBlobStore, Task> afterAll)
    {
        for (var requests = 0; requests < RequestsMax; requests++)
        {
            var copy = new MemoryBlobStore();
            foreach (var (name, blob) in bucket.Blobs) copy.Blobs[name] = blob;
            var left = requests;
            var process = new FaultyBlobStore(copy, 1, TimeProvider.System) { BeforeRequest = (_, _, _) => left-- > 0 ? default : throw new CutOffException() };
            var ended = true;
            try
            {
                await operation(process);
            }
            catch (CutOffException)
            {
                ended = false;
            }

            await afterCut(copy, ended);
            await operation(copy);
            await afterAll(copy);
            if (ended) return;
        }

        throw new InvalidOperationException($"More than {RequestsMax} requests.");
    }

    /// <summary>The process is gone.</summary>
    private sealed class CutOffException : Exception;
}
