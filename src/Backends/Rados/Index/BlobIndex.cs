using System.Globalization;
using System.Text;
using Gateway.Backends.Core;

namespace Gateway.Backends.Rados.Index;

/// <summary>The names of all blobs of a namespace, in order, though RADOS lists objects in the order of their hashes only, and all namespaces of a pool together.</summary>
/// <remarks>
/// <para>
/// The names are omap keys, which are in the order of their bytes, of <see cref="ShardCount"/> objects, by the CRC-32C of the name. A blob's object and its entry change
/// one after the other. What makes them one is the entry's state, unsettled or settled, and two rules that hold at every instant, whoever is killed when:
/// 1. a blob that exists has an entry; 2. a blob whose entry is settled exists, and has the length that the entry says. So a listing takes settled entries as they are,
/// and looks for the objects of the others.
/// </para>
/// <para>
/// A put or delete 1. claims: makes the entry unsettled, with a new id; 2. changes the object; 3. settles or removes the entry if it still has that id, and only if its claim was
/// made <i>alone</i>: over no entry or a settled one. A claim over an unsettled entry may have others at work behind it, and leaves the entry unsettled for good: who comes later
/// claims over that. After <see cref="AbandonedAfter"/> an unsettled entry has nobody left behind it: the next claim is alone, and a listing that meets it tidies up.
/// </para>
/// </remarks>
internal sealed class BlobIndex(IRadosObjects objects, TimeProvider time)
{
    /// <summary>Ceph warns of more than 200,000 keys in one object: this is enough for 3 million blobs, 25 TB of segments. Part of the format.</summary>
    public const int ShardCount = 16;

    /// <summary>No operation is in progress for that long, clocks that differ included.</summary>
    public static readonly TimeSpan AbandonedAfter = TimeSpan.FromDays(1);

    /// <summary>How often a claim tries to be alone before it goes ahead as one that is not, which always works.</summary>
    private const int AloneTriesMax = 4;

    private readonly ulong _instance = BitConverter.ToUInt64(Guid.NewGuid().ToByteArray());
    private long _claims;

    /// <summary>The object that has the name's entry; '+' is in no <see cref="BlobKey"/>.</summary>
    public static string ShardOf(string name) => ShardName((int)(Crc32C.Compute(Encoding.ASCII.GetBytes(name)) % ShardCount));

    public static string ShardName(int shard) => string.Create(CultureInfo.InvariantCulture, $"+index.{shard:x}");

    /// <summary>Step 1. Null if <paramref name="mustBeAbsent"/> and the blob exists for sure.</summary>
    public async Task<IndexClaim?> TryClaimAsync(string name, bool mustBeAbsent, CancellationToken cancellationToken)
    {
        var shard = ShardOf(name);
        var mine = new IndexEntry(IsSettled: false, time.GetUtcNow().ToUnixTimeSeconds(), NewId());
        // Who wants to create guesses first that there is nothing, and mostly is right.
        if (mustBeAbsent && await objects.TryChangeEntryAsync(shard, name, null, mine, cancellationToken)) return new IndexClaim(shard, name, mine, IsAlone: true);
        for (var tries = 1; tries <= AloneTriesMax; tries++)
        {
            var seen = await objects.GetEntryAsync(shard, name, cancellationToken);
            if (seen is { IsSettled: true } && mustBeAbsent) return null;
            if (seen is { IsSettled: false } busy && !IsAbandoned(busy)) break;
            if (await objects.TryChangeEntryAsync(shard, name, seen, mine, cancellationToken)) return new IndexClaim(shard, name, mine, IsAlone: true);
        }

        await objects.SetEntryAsync(shard, name, mine, cancellationToken);
        return new IndexClaim(shard, name, mine, IsAlone: false);
    }

    /// <summary>Step 3 after a put. Saves listings a look at the object; nothing rests on it.</summary>
    public async Task SettleAsync(IndexClaim claim, long lengthBytes, CancellationToken cancellationToken)
    {
        if (claim.IsAlone) await objects.TryChangeEntryAsync(claim.Shard, claim.Name, claim.Entry, new IndexEntry(IsSettled: true, lengthBytes, NewId()), cancellationToken);
    }

    /// <summary>Step 3 after a delete; as <see cref="SettleAsync"/>.</summary>
    public async Task RetractAsync(IndexClaim claim, CancellationToken cancellationToken)
    {
        if (claim.IsAlone) await objects.TryChangeEntryAsync(claim.Shard, claim.Name, claim.Entry, null, cancellationToken);
    }

    /// <summary>Leaves an abandoned entry as a completed put or delete would have.</summary>
    public async Task TidyAsync(string shard, string name, IndexEntry entry, long? lengthBytes, CancellationToken cancellationToken)
    {
        if (IsAbandoned(entry))
            await objects.TryChangeEntryAsync(shard, name, entry, lengthBytes is { } length ? new IndexEntry(IsSettled: true, length, NewId()) : null, cancellationToken);
    }

    private bool IsAbandoned(IndexEntry entry) => time.GetUtcNow().ToUnixTimeSeconds() - entry.Number > AbandonedAfter.TotalSeconds;

    private UInt128 NewId() => new(_instance, (ulong)Interlocked.Increment(ref _claims));
}

/// <summary>An entry that one put or delete has made.</summary>
/// <param name="Shard">The object that has it.</param>
/// <param name="Name">The blob's.</param>
/// <param name="Entry">As it was made.</param>
/// <param name="IsAlone">Nobody else can have been at work on this blob then.</param>
internal readonly record struct IndexClaim(string Shard, string Name, IndexEntry Entry, bool IsAlone);
