using Gateway.Backends.Core;
using Gateway.Volumes.Checkpoints;
using Gateway.Volumes.Log;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;

namespace Gateway.Volumes.Tests.Checkpoints;

/// <summary>What is removed, when, and what keeps it from being removed.</summary>
public class RemoverTests
{
    private readonly CheckpointWorld _world = new();
    private readonly Target _target = new();

    /// <summary>What is there beside the writer's record.</summary>
    private string[] Left => [.. _world.Memory.Blobs.Keys.Where(k => !k.StartsWith(_world.Keys.EpochPrefix, StringComparison.Ordinal)).Order(StringComparer.Ordinal)];

    [Fact]
    public async Task Remover_WithinTheGracePeriod_RemovesNothing()
    {
        var remover = NewRemover(TimeSpan.FromHours(1));
        remover.Add([], [Blob("a")]);

        await remover.RunAsync(default);

        Assert.Single(Left);
        Assert.InRange(remover.DueIn!.Value, TimeSpan.FromMinutes(59), TimeSpan.FromHours(1));
    }

    [Fact]
    public async Task Remover_StoreFailsToDelete_DoesNotAskItWithoutPause()
    {
        var remover = NewRemover(TimeSpan.Zero);
        _world.Options.RetryDelayMax = TimeSpan.FromHours(1);
        var asked = 0;
        _world.Store.BeforeRequest = (name, key, _) => name == "delete" && key == "a" && ++asked > 0 ? throw new BlobStoreException(BlobErrorKind.AccessDenied, "By design of the test.") : default;
        remover.Add([], [Blob("a"), Blob("b")]);

        await remover.RunAsync(default);

        Assert.Equal(1, asked);
        Assert.Equal(["a"], Left);
        Assert.InRange(remover.DueIn!.Value, TimeSpan.FromMinutes(59), TimeSpan.FromHours(1));
        _world.Options.RetryDelayMax = TimeSpan.Zero;
        _world.Store.BeforeRequest = null;
        await remover.RunAsync(default);
        Assert.Empty(Left);
        Assert.Equal(["b", "a"], _target.Gone);
        Assert.Null(remover.DueIn);
    }

    [Fact]
    public async Task Remover_RootStays_SoDoesWhatOnlyItRefersTo()
    {
        var remover = NewRemover(TimeSpan.Zero);
        _world.Options.RetryDelayMax = TimeSpan.FromHours(1);
        _world.Store.BeforeRequest = (name, key, _) => name == "delete" && key == "root" ? throw new BlobStoreException(BlobErrorKind.Unavailable, "By design of the test.") : default;
        remover.Add([Blob("root")], [Blob("a")]);

        await remover.RunAsync(default);

        Assert.Equal(["a", "root"], Left);
    }

    [Theory]
    [InlineData("before")]
    [InlineData("between")]
    public async Task Remover_SuccessorClaims_NothingThatItNeedsIsRemoved(string when)
    {
        var remover = NewRemover(TimeSpan.Zero);
        void Claim() => _world.Memory.Blobs[_world.Keys.Epoch(_world.Epoch + 1).Value] = [];
        if (when == "before") Claim();
        _world.Store.AfterEffect = (name, key, _) =>
        {
            if (name == "delete" && key == "root") Claim();
            return default;
        };
        remover.Add([Blob("root")], [Blob("a")]);

        await Assert.ThrowsAsync<FencedException>(() => remover.RunAsync(default));

        // Either the root that the successor may have read is there, or the successor finds it gone and looks for the newer one.
        Assert.Contains("a", _world.Memory.Blobs.Keys);
        Assert.Equal(when == "before", _world.Memory.Blobs.ContainsKey("root"));
    }

    [Fact]
    public async Task Remover_ThatMayNotRemove_SaysSoOnceAndForgetsIt()
    {
        var remover = NewRemover(TimeSpan.Zero);
        _target.Refused.Add("a");
        remover.Add([], [Blob("a"), Blob("b")]);

        await remover.RunAsync(default);

        Assert.Equal(["a"], Left);
        Assert.Equal(["a"], _target.Stayed);
        Assert.Null(remover.DueIn);
    }

    private Remover NewRemover(TimeSpan removeAfter)
    {
        _world.Options.RemoveAfter = removeAfter;
        return new Remover(_world.Store, _world.Writer, _world.Volume, _world.Options, TimeProvider.System, _target, NullLogger.Instance);
    }

    private BlobKey Blob(string name)
    {
        _world.Memory.Blobs[name] = [1];
        return new BlobKey(name);
    }

    private sealed class Target : IRemovalTarget
    {
        public HashSet<string> Refused { get; } = [];

        public List<string> Gone { get; } = [];

        public List<string> Stayed { get; } = [];

        public Task<bool> MayRemoveAsync(BlobKey key, CancellationToken cancellationToken) => Task.FromResult(!Refused.Contains(key.Value));

        public void Removed(BlobKey key) => Gone.Add(key.Value);

        public void Kept(BlobKey key) => Stayed.Add(key.Value);
    }
}
