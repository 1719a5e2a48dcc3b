using System.Globalization;

namespace Gateway.Backends.Core;

/// <summary>What a <see cref="StoreSelfTest"/> found.</summary>
/// <param name="Faults">What is wrong, a sentence each; empty if the store passed.</param>
/// <param name="CreateOnlyWorks">
/// True if create-only puts were seen to have exactly one winner. Without it two writers can both believe to own a volume: no volume may be
/// opened for writing.
/// </param>
/// <param name="ErrorKind">The kind of the error that ended the test early, if one did.</param>
public sealed record StoreSelfTestResult(IReadOnlyList<string> Faults, bool CreateOnlyWorks, BlobErrorKind? ErrorKind)
{
    /// <summary>True if nothing is wrong.</summary>
    public bool Passed => Faults.Count == 0;

    /// <summary>The faults, or that there are none, as one line for people.</summary>
    public override string ToString() => Passed ? "The store passed its self-test." : string.Join(' ', Faults);
}

/// <summary>Tries what volumes rest on, on the store itself: stores that ignore a header they do not know look healthy until it matters.</summary>
/// <remarks>
/// Makes blobs named <c>.selftest-&lt;nonce&gt;-…</c> directly below the store's root, where no listing of folders shows them, and removes
/// them again. Takes about 15 requests.
/// </remarks>
public static class StoreSelfTest
{
    private const int Racers = 8;

    /// <summary>Runs the test once. A failing store gives a result, not an exception; only cancellation throws.</summary>
    /// <param name="store">The store to test.</param>
    /// <param name="random">Makes the names unique: two tests at one time must not meet.</param>
    /// <param name="cancellationToken">Ends the test; blobs may be left behind.</param>
    public static async Task<StoreSelfTestResult> RunAsync(IBlobStore store, Random random, CancellationToken cancellationToken)
    {
        var run = new Run(store, string.Create(CultureInfo.InvariantCulture, $".selftest-{random.NextInt64():x16}{random.NextInt64():x16}"));
        try
        {
            await run.ExecuteAsync(cancellationToken);
        }
        catch (BlobStoreException e)
        {
            run.Faults.Add($"While {run.Step}: {e.Message}");
            run.ErrorKind = e.Kind;
        }

        await run.CleanUpAsync(cancellationToken);
        return new StoreSelfTestResult(run.Faults, run.CreateOnlyWorks, run.ErrorKind);
    }

    private sealed class Run(IBlobStore store, string name)
    {
        private readonly BlobKey _single = new(name + "-once");
        private readonly BlobKey _raced = new(name + "-race");

        public List<string> Faults { get; } = [];
        public bool CreateOnlyWorks { get; private set; }
        public BlobErrorKind? ErrorKind { get; set; }
        public string Step { get; private set; } = "starting";

        public async Task ExecuteAsync(CancellationToken cancellationToken)
        {
            var first = Content(0);
            Step = "creating a blob";
            await store.PutAsync(_single, first, Precondition.Absent, cancellationToken);
            Step = "creating the same blob again, which must be refused";
            var refused = !await TryCreateAsync(_single, Content(1), cancellationToken);
            if (!refused) Faults.Add("A create-only put (If-None-Match: *) replaced a blob that existed: the store ignores the condition.");

            Step = "reading the blob back";
            await ExpectContentAsync(_single, refused ? first : Content(1), cancellationToken);
            Step = "asking for the blob's length";
            var length = await store.GetLengthAsync(_single, cancellationToken);
            if (length != first.Length) Faults.Add($"A blob of {first.Length} bytes was reported as {length?.ToString(CultureInfo.InvariantCulture) ?? "missing"}.");

            var oneWinner = await RaceAsync(cancellationToken);
            CreateOnlyWorks = refused && oneWinner;

            Step = "listing";
            await ExpectListedAsync([_single, _raced], cancellationToken);
            Step = "removing a blob";
            await store.DeleteAsync(_single, cancellationToken);
            await store.DeleteAsync(_raced, cancellationToken);
            if (await store.GetLengthAsync(_single, cancellationToken) is not null) Faults.Add("A blob was still there after it was removed.");
            await ExpectListedAsync([], cancellationToken);
        }

        public async Task CleanUpAsync(CancellationToken cancellationToken)
        {
            foreach (var key in (BlobKey[])[_single, _raced])
            {
                try
                {
                    await store.DeleteAsync(key, cancellationToken);
                }
                catch (BlobStoreException)
                {
                    // A leftover does no harm, and what is wrong with the store has been said.
                }
            }
        }

        private async Task<bool> RaceAsync(CancellationToken cancellationToken)
        {
            Step = $"racing {Racers} creations of one blob";
            var tries = new Task<bool>[Racers];
            for (var i = 0; i < Racers; i++) tries[i] = TryCreateAsync(_raced, Content(i + 2), cancellationToken);
            var won = await Task.WhenAll(tries);
            var winners = won.Count(w => w);
            if (winners != 1)
            {
                Faults.Add($"{winners} of {Racers} create-only puts of one name that ran together succeeded; it must be exactly 1.");
                return false;
            }

            Step = "reading the winner's blob back";
            return await ExpectContentAsync(_raced, Content(Array.IndexOf(won, true) + 2), cancellationToken);
        }

        /// <summary>False if the store says that the blob exists. A conflict in progress (S3 status 409) has not won either.</summary>
        private async Task<bool> TryCreateAsync(BlobKey key, byte[] content, CancellationToken cancellationToken)
        {
            try
            {
                await store.PutAsync(key, content, Precondition.Absent, cancellationToken);
                return true;
            }
            catch (BlobStoreException e) when (e.Kind is BlobErrorKind.PreconditionFailed or BlobErrorKind.Throttled)
            {
                return false;
            }
        }

        private async Task<bool> ExpectContentAsync(BlobKey key, byte[] expected, CancellationToken cancellationToken)
        {
            var actual = await store.ReadWholeAsync(key, expected.Length, cancellationToken);
            if (actual.AsSpan().SequenceEqual(expected)) return true;
            Faults.Add("A blob read back right after it was stored held other bytes: the store is not strongly consistent, or a lost race took effect.");
            return false;
        }

        private async Task ExpectListedAsync(BlobKey[] expected, CancellationToken cancellationToken)
        {
            var seen = new List<string>();
            await foreach (var blob in store.ListAsync(name, null, cancellationToken))
            {
                seen.Add(blob.Name);
                if (seen.Count > expected.Length) break;
            }

            if (!seen.SequenceEqual(expected.Select(k => k.Value)))
                Faults.Add($"A listing right after a change showed [{string.Join(", ", seen)}] instead of [{string.Join(", ", expected)}]: listings lag behind.");
        }

        private byte[] Content(int writer) => System.Text.Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"{name} writer {writer:d3}"));
    }
}
