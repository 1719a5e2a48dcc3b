using Gateway.Backends.Core;
using Gateway.Backends.File;
using Gateway.Tests.Shared.Stores;
using Xunit;

[assembly: System.Runtime.Versioning.SupportedOSPlatform("linux")]

namespace Gateway.Conformance.Tests;

/// <summary>The directory as a store: the common suite, and what can go wrong with directories.</summary>
public sealed class FileBlobStoreTests : BlobStoreConformance
{
    private readonly string _root = Directory.CreateTempSubdirectory("file-store-").FullName;

    public override async Task DisposeAsync()
    {
        await base.DisposeAsync();
        Directory.Delete(_root, recursive: true);
    }

    protected override Task<IBlobStore> OpenViewAsync() => Task.FromResult<IBlobStore>(new FileBlobStore(new FileStoreOptions { Path = _root }));

    [Fact]
    public async Task Root_Missing_IsContainerMissingAndSaysHowToMakeIt()
    {
        var missing = Path.Combine(_root, "not-mounted");
        await using var store = new FileBlobStore(new FileStoreOptions { Path = missing });

        var error = await ThrowsAsync(BlobErrorKind.ContainerMissing, () => store.PutAsync(new("a"), new byte[1], Precondition.None, None));

        Assert.Contains($"mkdir -p {missing}", error.Message, StringComparison.Ordinal);
        await ThrowsAsync(BlobErrorKind.ContainerMissing, () => Discard(store.ReadAsync(new("a"), 0, new byte[1], None)));
        await ThrowsAsync(BlobErrorKind.ContainerMissing, () => Discard(store.GetLengthAsync(new("a"), None)));
        await ThrowsAsync(BlobErrorKind.ContainerMissing, () => store.DeleteAsync(new("a"), None));
        await ThrowsAsync(BlobErrorKind.ContainerMissing, async () => await ListAsync(store));
        await ThrowsAsync(BlobErrorKind.ContainerMissing, async () => await FoldersAsync(store, ""));
        Assert.False(Directory.Exists(missing));

        Directory.CreateDirectory(missing);
        await store.PutAsync(new("a"), new byte[1], Precondition.None, None);
    }

    [Fact]
    public async Task Root_IsAFile_IsContainerMissing()
    {
        var file = Path.Combine(_root, "file");
        await File.WriteAllTextAsync(file, "x");
        await using var store = new FileBlobStore(new FileStoreOptions { Path = file });

        await ThrowsAsync(BlobErrorKind.ContainerMissing, () => Discard(store.GetLengthAsync(new("a"), None)));
    }

    [Fact]
    public async Task Root_ReadOnly_IsAccessDenied()
    {
        // Root's writes are not held back by modes, but by what is read-only by nature.
        var readOnly = Environment.IsPrivilegedProcess ? "/sys/kernel" : Path.Combine(_root, "read-only");
        if (!Environment.IsPrivilegedProcess)
        {
            Directory.CreateDirectory(readOnly);
            File.SetUnixFileMode(readOnly, UnixFileMode.UserRead | UnixFileMode.UserExecute);
        }

        await using var store = new FileBlobStore(new FileStoreOptions { Path = readOnly });

        await ThrowsAsync(BlobErrorKind.AccessDenied, () => store.PutAsync(new("a"), new byte[1], Precondition.None, None));
    }

    [SkippableFact]
    public async Task Root_Full_IsUnavailableAndSaysSo()
    {
        Skip.IfNot(File.Exists("/dev/full") && Environment.IsPrivilegedProcess, "needs root, to mount a small file system");
        var small = Path.Combine(_root, "small");
        Directory.CreateDirectory(small);
        using (var mount = System.Diagnostics.Process.Start("mount", ["-t", "tmpfs", "-o", "size=64k", "none", small]))
        {
            await mount.WaitForExitAsync();
            Skip.If(mount.ExitCode != 0, "no file system can be mounted here");
        }

        try
        {
            await using var store = new FileBlobStore(new FileStoreOptions { Path = small });
            var error = await ThrowsAsync(BlobErrorKind.Unavailable, () => store.PutAsync(new("a"), new byte[1 << 20], Precondition.None, None));
            Assert.Contains("full", error.Message, StringComparison.Ordinal);
            Assert.Null(await store.GetLengthAsync(new("a"), None));
            await store.PutAsync(new("b"), new byte[1000], Precondition.None, None);
        }
        finally
        {
            using var unmount = System.Diagnostics.Process.Start("umount", [small]);
            await unmount.WaitForExitAsync();
        }
    }

    [Fact]
    public async Task Link_OutOfTheRoot_IsNeverFollowed()
    {
        var outside = Directory.CreateTempSubdirectory("file-store-outside-").FullName;
        try
        {
            await File.WriteAllTextAsync(Path.Combine(outside, "secret"), "secret");
            Directory.CreateSymbolicLink(Path.Combine(_root, "folder"), outside);
            File.CreateSymbolicLink(Path.Combine(_root, "blob"), Path.Combine(outside, "secret"));
            var store = await OpenAsync();

            await ThrowsAsync(BlobErrorKind.Rejected, () => Discard(store.ReadAsync(new("folder/secret"), 0, new byte[1], None)));
            await ThrowsAsync(BlobErrorKind.Rejected, () => Discard(store.ReadAsync(new("blob"), 0, new byte[1], None)));
            await ThrowsAsync(BlobErrorKind.Rejected, () => Discard(store.GetLengthAsync(new("blob"), None)));
            await ThrowsAsync(BlobErrorKind.Rejected, () => store.PutAsync(new("folder/new"), new byte[1], Precondition.None, None));
            await ThrowsAsync(BlobErrorKind.Rejected, () => store.DeleteAsync(new("folder/secret"), None));
            await ThrowsAsync(BlobErrorKind.Rejected, () => store.PutAsync(new("blob"), new byte[1], Precondition.Absent, None));
            Assert.Empty(await NamesAsync(store));
            Assert.Empty(await FoldersAsync(store, ""));

            // A put without a condition replaces the link itself, a delete removes it: what it points to stays.
            await store.PutAsync(new("blob"), "mine"u8.ToArray(), Precondition.None, None);
            Assert.Equal("secret", await File.ReadAllTextAsync(Path.Combine(outside, "secret")));
            Assert.Equal(["secret"], Directory.GetFileSystemEntries(outside).Select(p => Path.GetFileName(p)!));
        }
        finally
        {
            Directory.Delete(outside, recursive: true);
        }
    }

    [Fact]
    public async Task Folders_WithDotDot_AreRefused()
    {
        var store = await OpenAsync();

        await Assert.ThrowsAsync<ArgumentException>(async () => await FoldersAsync(store, "../"));
        await Assert.ThrowsAsync<ArgumentException>(async () => await FoldersAsync(store, "a/../../"));
    }

    [Fact]
    public async Task Leftovers_OfCrashedPuts_AreHiddenAndRemovedWhenOld()
    {
        var temp = Directory.CreateDirectory(Path.Combine(_root, "+tmp")).FullName;
        var (old, young) = (Path.Combine(temp, "0123-1"), Path.Combine(temp, "0123-2"));
        await File.WriteAllTextAsync(old, "torn");
        await File.WriteAllTextAsync(young, "being written");
        File.SetLastWriteTimeUtc(old, TimeProvider.System.GetUtcNow().UtcDateTime.AddHours(-2));
        var store = await OpenAsync();

        Assert.Empty(await NamesAsync(store));
        Assert.Empty(await FoldersAsync(store, ""));
        await store.PutAsync(new("blob"), new byte[1], Precondition.None, None);

        Assert.False(File.Exists(old));
        Assert.True(File.Exists(young));
        Assert.Equal(["blob"], await NamesAsync(store));
    }

    [Fact]
    public async Task Leftovers_StillLockedByTheirWriter_Stay()
    {
        var temp = Directory.CreateDirectory(Path.Combine(_root, "+tmp")).FullName;
        var path = Path.Combine(temp, "0123-1");
        // .NET holds an flock on a file that is open for writing without sharing.
        await using var writer = new FileStream(path, FileMode.CreateNew, FileAccess.Write, FileShare.None);
        File.SetLastWriteTimeUtc(path, TimeProvider.System.GetUtcNow().UtcDateTime.AddHours(-2));
        var store = await OpenAsync();

        await store.PutAsync(new("blob"), new byte[1], Precondition.None, None);

        Assert.True(File.Exists(path));
    }

    [Fact]
    public async Task Put_Finished_LeavesNoTemporaryFile()
    {
        var store = await OpenAsync();
        await store.PutAsync(new("blob"), new byte[1], Precondition.Absent, None);
        await ThrowsAsync(BlobErrorKind.PreconditionFailed, () => store.PutAsync(new("blob"), new byte[1], Precondition.Absent, None));
        await store.PutAsync(new("blob"), new byte[1], Precondition.None, None);

        Assert.Empty(Directory.GetFileSystemEntries(Path.Combine(_root, "+tmp")));
    }

    [Fact]
    public async Task ForeignFiles_AreListedUnderTheirNames()
    {
        Directory.CreateDirectory(Path.Combine(_root, "My Documents"));
        Directory.CreateDirectory(Path.Combine(_root, "empty"));
        await File.WriteAllTextAsync(Path.Combine(_root, "My Documents", "Ünïcode (1).txt"), "hello");
        await File.WriteAllTextAsync(Path.Combine(_root, ".hidden"), "");
        var store = await OpenAsync();

        Assert.Equal([new(".hidden", 0), new("My Documents/Ünïcode (1).txt", 5)], await ListAsync(store));
        Assert.Equal(["My Documents/"], await FoldersAsync(store, ""));
        Assert.Empty(await FoldersAsync(store, "My Documents/"));
    }

    [Fact]
    public async Task Names_BlobInTheWayOfAFolder_AreRejectedWithAReason()
    {
        var store = await OpenAsync();
        await store.PutAsync(new("a"), new byte[1], Precondition.None, None);
        await store.PutAsync(new("b/c"), new byte[1], Precondition.None, None);

        await ThrowsAsync(BlobErrorKind.Rejected, () => store.PutAsync(new("a/b"), new byte[1], Precondition.None, None));
        await ThrowsAsync(BlobErrorKind.Rejected, () => store.PutAsync(new("b"), new byte[1], Precondition.None, None));
        await ThrowsAsync(BlobErrorKind.Rejected, () => store.PutAsync(new("b"), new byte[1], Precondition.Absent, None));
        await ThrowsAsync(BlobErrorKind.Rejected, () => store.PutAsync(new(new string('x', 300)), new byte[1], Precondition.None, None));
    }

    [Fact]
    public async Task Pipe_InPlaceOfABlob_DoesNotHoldTheReader()
    {
        using (var mkfifo = System.Diagnostics.Process.Start("mkfifo", [Path.Combine(_root, "pipe")])) await mkfifo.WaitForExitAsync();
        var store = await OpenAsync();

        await ThrowsAsync(BlobErrorKind.Unavailable, () => Discard(store.ReadAsync(new("pipe"), 0, new byte[1], None)));
        Assert.Empty(await NamesAsync(store));
    }

    [Fact]
    public async Task SelfTest_OfAStoreThatIgnoresConditions_SaysSo()
    {
        var inner = await OpenAsync();
        var result = await StoreSelfTest.RunAsync(new ConditionlessBlobStore(inner), new Random(2), None);

        Assert.False(result.Passed);
        Assert.False(result.CreateOnlyWorks);
        Assert.Contains(result.Faults, f => f.Contains("ignores the condition", StringComparison.Ordinal));
        Assert.Contains(result.Faults, f => f.Contains("8 of 8", StringComparison.Ordinal));
    }

    [Fact]
    public async Task SelfTest_OfAStoreThatIsAway_SaysWhereItStopped()
    {
        var faulty = new FaultyBlobStore(await OpenAsync(), seed: 1, TimeProvider.System) { Faults = new() { Outage = true } };

        var result = await StoreSelfTest.RunAsync(faulty, new Random(3), None);

        Assert.Equal(BlobErrorKind.Unavailable, result.ErrorKind);
        Assert.StartsWith("While creating a blob:", result.ToString(), StringComparison.Ordinal);
    }

    /// <summary>What stores do that do not know If-None-Match.</summary>
    private sealed class ConditionlessBlobStore(IBlobStore inner) : IBlobStore
    {
        public string Description => inner.Description;

        public ValueTask<int> ReadAsync(BlobKey key, long offsetBytes, Memory<byte> destination, CancellationToken cancellationToken) => inner.ReadAsync(key, offsetBytes, destination, cancellationToken);

        public ValueTask PutAsync(BlobKey key, ReadOnlyMemory<byte> content, Precondition precondition, CancellationToken cancellationToken) => inner.PutAsync(key, content, Precondition.None, cancellationToken);

        public ValueTask<long?> GetLengthAsync(BlobKey key, CancellationToken cancellationToken) => inner.GetLengthAsync(key, cancellationToken);

        public IAsyncEnumerable<BlobInfo> ListAsync(string prefix, string? startAfter, CancellationToken cancellationToken) => inner.ListAsync(prefix, startAfter, cancellationToken);

        public IAsyncEnumerable<string> ListFoldersAsync(string prefix, CancellationToken cancellationToken) => inner.ListFoldersAsync(prefix, cancellationToken);

        public ValueTask DeleteAsync(BlobKey key, CancellationToken cancellationToken) => inner.DeleteAsync(key, cancellationToken);

        public ValueTask DisposeAsync() => ValueTask.CompletedTask;
    }
}
