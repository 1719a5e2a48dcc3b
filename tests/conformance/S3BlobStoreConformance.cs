using Gateway.Backends.Core;
using Gateway.Backends.S3;
using Xunit;

namespace Gateway.Conformance.Tests;

/// <summary>What the S3 store must do on any S3 server: the common suite, prefixes, and credentials in all their ways.</summary>
public abstract class S3BlobStoreConformance : BlobStoreConformance
{
    private S3StoreOptions? _options;

    protected override async Task<IBlobStore> OpenViewAsync() => new S3BlobStore(await OptionsAsync());

    /// <summary>Options for a new, empty bucket, with a key id and a file that holds its secret. Skips the test where the server cannot run.</summary>
    protected abstract Task<S3StoreOptions> NewBucketAsync();

    /// <summary>Options for this test's own bucket, which the first call makes.</summary>
    private async Task<S3StoreOptions> OptionsAsync() => _options ??= await NewBucketAsync();

    [SkippableFact]
    public async Task Prefix_TwoOfThem_KeepStoresApart()
    {
        var options = await OptionsAsync();
        await using var one = new S3BlobStore(options with { Prefix = "one" });
        await using var ten = new S3BlobStore(options with { Prefix = "one0/" });
        await using var all = new S3BlobStore(options with { Prefix = "" });
        await one.PutAsync(new("blob"), new byte[1], Precondition.Absent, None);
        await ten.PutAsync(new("blob"), new byte[2], Precondition.Absent, None);

        Assert.Equal([new BlobInfo("blob", 1)], await ListAsync(one));
        Assert.Equal([new BlobInfo("blob", 2)], await ListAsync(ten));
        Assert.Equal(["one/blob", "one0/blob"], await NamesAsync(all));
        Assert.Equal(["one/", "one0/"], await FoldersAsync(all, ""));
    }

    [SkippableFact]
    public async Task Bucket_Missing_IsContainerMissingForEveryOperation()
    {
        await using var store = new S3BlobStore(await OptionsAsync() with { Bucket = "no-such-bucket" });

        var error = await ThrowsAsync(BlobErrorKind.ContainerMissing, () => Discard(store.ReadAsync(new("a"), 0, new byte[1], None)));
        Assert.Contains("no-such-bucket", error.Message, StringComparison.Ordinal);
        await ThrowsAsync(BlobErrorKind.ContainerMissing, () => store.PutAsync(new("a"), new byte[1], Precondition.None, None));
        await ThrowsAsync(BlobErrorKind.ContainerMissing, () => store.PutAsync(new("a"), new byte[2 << 20], Precondition.Absent, None));
        await ThrowsAsync(BlobErrorKind.ContainerMissing, () => Discard(store.GetLengthAsync(new("a"), None)));
        await ThrowsAsync(BlobErrorKind.ContainerMissing, async () => await ListAsync(store));
        await ThrowsAsync(BlobErrorKind.ContainerMissing, async () => await FoldersAsync(store, ""));
        await ThrowsAsync(BlobErrorKind.ContainerMissing, () => store.DeleteAsync(new("a"), None));
    }

    [SkippableFact]
    public async Task Secret_Wrong_IsAccessDeniedAndInNoMessage()
    {
        var file = Path.GetTempFileName();
        await File.WriteAllTextAsync(file, "aWrongSecretThatMustNotBeShown");
        await using var store = new S3BlobStore(await OptionsAsync() with { SecretAccessKeyFile = file });

        await AssertDeniedAsync(store, "aWrongSecretThatMustNotBeShown");
        File.Delete(file);
    }

    [SkippableFact]
    public async Task KeyId_Wrong_IsAccessDeniedAndInNoMessage()
    {
        await using var store = new S3BlobStore(await OptionsAsync() with { AccessKeyId = "AKIDTHATNOBODYKNOWS" });

        await AssertDeniedAsync(store, "AKIDTHATNOBODYKNOWS");
    }

    [SkippableFact]
    public async Task Secret_FileMissing_IsAccessDeniedAndSaysWhere()
    {
        await using var store = new S3BlobStore(await OptionsAsync() with { SecretAccessKeyFile = "/nonexistent/secret" });

        var error = await ThrowsAsync(BlobErrorKind.AccessDenied, () => Discard(store.GetLengthAsync(new("a"), None)));

        Assert.Contains("/nonexistent/secret", error.Message, StringComparison.Ordinal);
    }

    [SkippableFact]
    public async Task Secret_FileReplaced_IsReadAgain()
    {
        var options = await OptionsAsync();
        var file = Path.GetTempFileName();
        await File.WriteAllTextAsync(file, "wrong");
        File.SetLastWriteTimeUtc(file, DateTime.UnixEpoch);
        await using var store = new S3BlobStore(options with { SecretAccessKeyFile = file });
        await ThrowsAsync(BlobErrorKind.AccessDenied, () => Discard(store.GetLengthAsync(new("a"), None)));

        await File.WriteAllTextAsync(file, await File.ReadAllTextAsync(options.SecretAccessKeyFile!));

        Assert.Null(await store.GetLengthAsync(new("a"), None));
        File.Delete(file);
    }

    [SkippableFact]
    public async Task Profile_FromACredentialsFile_IsUsed()
    {
        var options = await OptionsAsync();
        var secret = (await File.ReadAllTextAsync(options.SecretAccessKeyFile!)).Trim();
        var file = Path.GetTempFileName();
        await File.WriteAllTextAsync(file, $"[lab]\naws_access_key_id = {options.AccessKeyId}\naws_secret_access_key = {secret}\n");
        var withProfile = options with { AccessKeyId = null, SecretAccessKeyFile = null, CredentialsFile = file };
        await using var store = new S3BlobStore(withProfile with { Profile = "lab" });
        await using var wrong = new S3BlobStore(withProfile with { Profile = "other" });

        await store.PutAsync(new("a"), new byte[1], Precondition.None, None);
        var error = await ThrowsAsync(BlobErrorKind.AccessDenied, () => Discard(wrong.GetLengthAsync(new("a"), None)));

        Assert.Contains("'other'", error.Message, StringComparison.Ordinal);
        File.Delete(file);
    }

    [SkippableFact]
    public async Task SignPayload_BothWays_StoreTheSame()
    {
        var options = await OptionsAsync();
        await using var hashed = new S3BlobStore(options with { SignPayload = true });
        await using var plain = new S3BlobStore(options);

        foreach (var length in (int[])[0, 1, 3 << 20])
        {
            await hashed.PutAsync(new("hashed"), Bytes(length, seed: 1), Precondition.None, None);
            await plain.PutAsync(new("plain"), Bytes(length, seed: 1), Precondition.None, None);
            AssertSame(Bytes(length, seed: 1), await plain.ReadWholeAsync(new("hashed"), length, None));
            AssertSame(Bytes(length, seed: 1), await hashed.ReadWholeAsync(new("plain"), length, None));
        }
    }

    [SkippableFact]
    public async Task Clock_AnHourOff_IsAccessDeniedAndSaysWhatToDo()
    {
        await using var store = new S3BlobStore(await OptionsAsync(), new ShiftedTime(TimeSpan.FromHours(1)));

        List<BlobStoreException> errors =
        [
            await ThrowsAsync(BlobErrorKind.AccessDenied, () => Discard(store.ReadAsync(new("a"), 0, new byte[1], None))),
            await ThrowsAsync(BlobErrorKind.AccessDenied, () => store.PutAsync(new("a"), new byte[1], Precondition.None, None)),
            await ThrowsAsync(BlobErrorKind.AccessDenied, () => store.PutAsync(new("a"), new byte[2 << 20], Precondition.Absent, None)),
        ];

        Assert.All(errors, e => Assert.Contains("clock is off by more than the store allows: set it", e.Message, StringComparison.Ordinal));
    }

    private static async Task AssertDeniedAsync(S3BlobStore store, string secret)
    {
        List<BlobStoreException> errors =
        [
            await ThrowsAsync(BlobErrorKind.AccessDenied, () => Discard(store.ReadAsync(new("a"), 0, new byte[1], None))),
            await ThrowsAsync(BlobErrorKind.AccessDenied, () => store.PutAsync(new("a"), new byte[1], Precondition.None, None)),
            await ThrowsAsync(BlobErrorKind.AccessDenied, () => store.PutAsync(new("a"), new byte[2 << 20], Precondition.None, None)),
            await ThrowsAsync(BlobErrorKind.AccessDenied, () => Discard(store.GetLengthAsync(new("a"), None))),
            await ThrowsAsync(BlobErrorKind.AccessDenied, async () => await ListAsync(store)),
        ];
        Assert.All(errors, e => Assert.DoesNotContain(secret, e.ToString(), StringComparison.Ordinal));
    }

    /// <summary>The system's time, but for the time of day.</summary>
    private sealed class ShiftedTime(TimeSpan by) : TimeProvider
    {
        public override DateTimeOffset GetUtcNow() => System.GetUtcNow() + by;
    }
}
