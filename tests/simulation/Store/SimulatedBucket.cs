using Gateway.Backends.Core;
using Gateway.Simulation.Scheduling;
using Gateway.Volumes.Formats;

namespace Gateway.Simulation.Store;

/// <summary>
/// The blobs, and what happens to requests on their way. Requests of a dead process may still arrive; answers are lost; puts land minutes after
/// their caller gave up. Single keys are strongly consistent; listings may lag.
/// </summary>
internal sealed class SimulatedBucket(World world, StorePlan plan, Random random)
{
    private readonly SortedDictionary<string, List<BlobVersion>> _blobs = new(StringComparer.Ordinal);
    private readonly Dictionary<string, int> _creating = [];
    private readonly Dictionary<string, uint> _deleted = [];

    private readonly record struct BlobVersion(TimeSpan Since, byte[]? Content);

    /// <summary>What goes wrong from now on.</summary>
    public StorePlan Plan { get; set; } = plan;

    /// <summary>Until then every request fails.</summary>
    public TimeSpan OutageUntil { get; set; }

    /// <summary>Called when a request has had its effect: who sent it, what it was, and of which blob.</summary>
    public Action<SimulatedProcess, string, string>? Done { get; set; }

    /// <summary>Called when a blob is being put: by whom, which, and its content.</summary>
    public Action<SimulatedProcess, string, byte[]>? Sending { get; set; }

    /// <summary>Name and content of every blob.</summary>
    public IEnumerable<KeyValuePair<string, byte[]>> Blobs =>
        _blobs.Where(b => b.Value[^1].Content is not null).Select(b => KeyValuePair.Create(b.Key, b.Value[^1].Content!));

    public byte[]? Find(string key) => _blobs.TryGetValue(key, out var versions) ? versions[^1].Content : null;

    public void Put(string key, byte[] content, Precondition precondition)
    {
        if (Find(key) is not null)
        {
            if (precondition == Precondition.Absent) throw new BlobStoreException(BlobErrorKind.PreconditionFailed, $"Blob '{key}' exists.");
            if (!MayBeReplaced(key)) world.Fail($"Blob '{key}' was replaced: every blob but signs of life is created once.");
        }

        if (_deleted.TryGetValue(key, out var crc) && crc != Crc32C.Compute(content) && !MayBeReplaced(key))
            world.Fail($"The name '{key}' of a blob that was deleted stands for other content now.");
        Versions(key).Add(new BlobVersion(world.Now, content));
    }

    /// <summary>True if there was one to delete.</summary>
    public bool Delete(string key)
    {
        if (Find(key) is not { } content) return false;
        _deleted[key] = Crc32C.Compute(content);
        Versions(key).Add(new BlobVersion(world.Now, null));
        return true;
    }

    /// <summary>The names after <paramref name="after"/> with a prefix, at most a page, as they were at a time.</summary>
    /// <returns>The page, and whether there may be more after it.</returns>
    public (List<BlobInfo> Page, bool HasMore) List(string prefix, string? after, TimeSpan at)
    {
        var page = new List<BlobInfo>();
        foreach (var (key, versions) in _blobs)
        {
            if (!key.StartsWith(prefix, StringComparison.Ordinal) || string.CompareOrdinal(key, after) <= 0) continue;
            var index = versions.FindLastIndex(v => v.Since <= at);
            if (index < 0 || versions[index].Content is not { } content) continue;
            page.Add(new BlobInfo(key, content.Length));
            if (page.Count == Plan.ListPageLength) return (page, true);
        }

        return (page, false);
    }

    /// <summary>A moment whose state a listing made now may show.</summary>
    public TimeSpan DrawListingTime() => Plan.StaleListMax > TimeSpan.Zero && random.Next(2) == 0 ? world.Now - (Plan.StaleListMax * random.NextDouble()) : world.Now;

    /// <summary>Damages a copy of what was read, as the plan has it.</summary>
    public void MaybeCorrupt(Span<byte> content)
    {
        if (content.Length > 0 && Chance(Plan.ReadCorruptionRate)) content[random.Next(content.Length)] ^= (byte)(1 << random.Next(8));
    }

    /// <summary>Carries a request to the store and its answer back.</summary>
    /// <param name="process">Who asks.</param>
    /// <param name="verb">What.</param>
    /// <param name="key">Of which blob or prefix.</param>
    /// <param name="effect">What the store does when the request arrives; told whether the caller still waits.</param>
    /// <param name="isCreation">True for a create-only put.</param>
    /// <param name="cancellationToken">Ends the wait, not the request.</param>
    public async Task<T> RequestAsync<T>(SimulatedProcess process, string verb, string key, Func<bool, T> effect, bool isCreation, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        var answer = new TaskCompletionSource<T>();
        var fate = Draw(isCreation);
        world.Record(verb, (long)fate.Kind, 0, key, process);
        if (isCreation)
        {
            _creating[key] = _creating.GetValueOrDefault(key) + 1;
            if (Plan.Conflicts && _creating[key] > 1 && random.Next(2) == 0) fate = fate with { Kind = FateKind.Conflict };
        }

        world.After(fate.Arrival, () => Arrive(process, verb, key, effect, fate, isCreation, answer));
        if (fate.Kind == FateKind.LateEffect) world.After(fate.GiveUp, () => answer.TrySetException(Failure(fate, verb, key)));
        using var registration = fate.Deaf ? default : cancellationToken.UnsafeRegister(static (s, token) => ((TaskCompletionSource<T>)s!).TrySetCanceled(token), answer);
        return await answer.Task;
    }

    private void Arrive<T>(SimulatedProcess process, string verb, string key, Func<bool, T> effect, Fate fate, bool isCreation, TaskCompletionSource<T> answer)
    {
        if (isCreation) _creating[key]--;
        if (process.IsDead && random.Next(2) == 0) return; // The connection broke before all of it was sent.
        T result = default!;
        BlobStoreException? failure = null;
        if (fate.Kind is FateKind.ErrorBefore or FateKind.Conflict || world.Now < OutageUntil || world.Now < process.CutOffUntil)
        {
            failure = Failure(fate, verb, key);
        }
        else
        {
            try
            {
                var isAwaited = !process.IsDead && !answer.Task.IsCompleted;
                result = effect(isAwaited);
                world.Record(verb + " done", 0, 0, key, process);
                Done?.Invoke(process, verb, key);
                if (fate.Kind == FateKind.Twice) result = effect(isAwaited);
            }
            catch (BlobStoreException e)
            {
                failure = e;
            }

            if (fate.Kind == FateKind.ErrorAfter) failure = Failure(fate, verb, key);
        }

        world.After(fate.Return, () =>
        {
            if (failure is null) answer.TrySetResult(result);
            else answer.TrySetException(failure);
        });
    }

    private Fate Draw(bool isCreation)
    {
        // Everything is drawn every time, so that one rate does not shift the draws of another.
        var latency = Plan.LatencyMin + ((Plan.LatencyMax - Plan.LatencyMin) * random.NextDouble());
        var share = random.NextDouble();
        var (kind, slow, late, throttled, deaf) = (random.NextDouble(), random.NextDouble(), random.NextDouble(), Chance(Plan.ThrottledShare), Chance(0.25));
        if (slow < Plan.SlowRate) latency = Plan.GiveUpAfter * late;
        var drawn = Pick();
        if (drawn == FateKind.LateEffect) return new Fate(drawn, Plan.LateEffectMax * late, TimeSpan.Zero, Plan.GiveUpAfter * share, throttled, deaf);
        return new Fate(drawn, latency * share, latency * (1 - share), TimeSpan.Zero, throttled, deaf);

        FateKind Pick()
        {
            if ((kind -= Plan.ErrorBeforeRate) < 0) return FateKind.ErrorBefore;
            if ((kind -= Plan.ErrorAfterRate) < 0) return FateKind.ErrorAfter;
            if ((kind -= Plan.LateEffectRate) < 0) return FateKind.LateEffect;
            return (kind - Plan.DoublePutRate) < 0 && isCreation ? FateKind.Twice : FateKind.Normal;
        }
    }

    private bool Chance(double rate) => random.NextDouble() < rate;

    private static BlobStoreException Failure(Fate fate, string verb, string key) => new(
        fate.Throttled || fate.Kind == FateKind.Conflict ? BlobErrorKind.Throttled : BlobErrorKind.Unavailable,
        $"Injected {fate.Kind} of {verb} '{key}'.");

    private static bool MayBeReplaced(string key) => key.EndsWith("/heartbeat", StringComparison.Ordinal) || key.EndsWith("/handover", StringComparison.Ordinal);

    private List<BlobVersion> Versions(string key)
    {
        if (!_blobs.TryGetValue(key, out var versions)) _blobs.Add(key, versions = []);
        return versions;
    }

    private enum FateKind
    {
        Normal,
        ErrorBefore,
        ErrorAfter,
        LateEffect,
        Twice,
        Conflict,
    }

    /// <param name="Kind">What becomes of it.</param>
    /// <param name="Arrival">Time to its effect.</param>
    /// <param name="Return">Time from there to its answer.</param>
    /// <param name="GiveUp">For one whose effect is late: when its caller is told that it failed.</param>
    /// <param name="Throttled">Fails as throttled.</param>
    /// <param name="Deaf">Takes no notice of cancellation.</param>
    private readonly record struct Fate(FateKind Kind, TimeSpan Arrival, TimeSpan Return, TimeSpan GiveUp, bool Throttled, bool Deaf);
}
