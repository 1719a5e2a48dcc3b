namespace Gateway.Backends.Core;

/// <summary>How long one kind of request took.</summary>
/// <param name="Operation">What was asked for.</param>
/// <param name="Requests">How many times.</param>
/// <param name="Median">The middle one.</param>
/// <param name="Slowest">The slowest one.</param>
public sealed record StoreMeasurement(string Operation, int Requests, TimeSpan Median, TimeSpan Slowest);

/// <summary>What a trial of a store showed.</summary>
/// <param name="Faults">As <see cref="StoreSelfTestResult.Faults"/>.</param>
/// <param name="CreateOnlyWorks">As <see cref="StoreSelfTestResult.CreateOnlyWorks"/>.</param>
/// <param name="EndedEarly">As <see cref="StoreSelfTestResult.ErrorKind"/>: what was not seen to work was perhaps not tried.</param>
/// <param name="Measurements">One for each kind of request; none if the store has faults.</param>
public sealed record StoreTrialReport(IReadOnlyList<string> Faults, bool CreateOnlyWorks, BlobErrorKind? EndedEarly, IReadOnlyList<StoreMeasurement> Measurements);

/// <summary>The self-test of a store, and how long its requests take, one at a time.</summary>
public static class StoreTrial
{
    private const int Rounds = 9;
    private const int SmallBytes = 4 << 10;
    private const int LargeBytes = 8 << 20;

    /// <summary>Runs it once: about 70 requests, and 50 MiB in each direction. A failing store gives a report, not an exception; only cancellation throws.</summary>
    /// <param name="store">The store.</param>
    /// <param name="random">Makes names unique.</param>
    /// <param name="cancellationToken">Ends it; blobs may be left behind.</param>
    public static async Task<StoreTrialReport> RunAsync(IBlobStore store, Random random, CancellationToken cancellationToken)
    {
        var test = await StoreSelfTest.RunAsync(store, random, cancellationToken);
        var measurements = new List<StoreMeasurement>();
        if (!test.Passed) return new StoreTrialReport(test.Faults, test.CreateOnlyWorks, test.ErrorKind, measurements);
        var prefix = $".selftest-{random.NextInt64():x16}-";
        var keys = Enumerable.Range(0, Rounds).Select(i => new BlobKey(prefix + i)).ToArray();
        try
        {
            await MeasureAsync(SmallBytes, "4 KiB", Rounds);
            await MeasureAsync(LargeBytes, "8 MiB", Rounds / 2);
            return new StoreTrialReport([], true, null, measurements);
        }
        catch (BlobStoreException e)
        {
            return new StoreTrialReport([e.Message], test.CreateOnlyWorks, e.Kind, measurements);
        }
        finally
        {
            foreach (var key in keys)
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

        async Task MeasureAsync(int bytes, string size, int rounds)
        {
            var content = new byte[bytes];
            random.NextBytes(content);
            var buffer = new byte[bytes];
            var isSmall = bytes == SmallBytes;
            await TimeAsync($"put {size}", rounds, i => store.PutAsync(keys[i], content, isSmall ? Precondition.Absent : Precondition.None, cancellationToken));
            await TimeAsync($"get {size}", rounds, async i =>
            {
                if (await store.ReadAsync(keys[i], 0, buffer, cancellationToken) != bytes || !buffer.AsSpan().SequenceEqual(content))
                    throw new BlobStoreException(BlobErrorKind.Corrupt, $"{store.Description}: a blob read back right after it was stored held other bytes.");
            });
            if (!isSmall) return;
            await TimeAsync("length", rounds, async i => await store.GetLengthAsync(keys[i], cancellationToken));
            await TimeAsync("list", rounds, async i =>
            {
                await foreach (var blob in store.ListAsync(prefix, null, cancellationToken)) _ = blob.LengthBytes;
            });
            await TimeAsync("delete", rounds, i => store.DeleteAsync(keys[i], cancellationToken));
        }

        async Task TimeAsync(string operation, int rounds, Func<int, ValueTask> request)
        {
            var times = new TimeSpan[rounds];
            for (var i = 0; i < rounds; i++)
            {
                var from = TimeProvider.System.GetTimestamp();
                await request(i);
                times[i] = TimeProvider.System.GetElapsedTime(from);
            }

            Array.Sort(times);
            measurements.Add(new StoreMeasurement(operation, rounds, times[rounds / 2], times[^1]));
        }
    }
}
