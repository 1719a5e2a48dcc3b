using Gateway.Backends.Core;
using Gateway.Backends.File;
using Gateway.Backends.Resilience;
using Gateway.Configuration;
using Gateway.Scsi;
using Gateway.Serving;
using Gateway.Volumes;
using Microsoft.Extensions.Logging;

namespace Gateway.Bench;

/// <summary>What a load is put on: a device, and the store behind it, counted. Whoever makes it disposes of it.</summary>
internal sealed class BenchTarget : IAsyncDisposable
{
    public const string NullName = "null";
    public const string TemporaryName = "temporary";

    /// <summary>Of the volumes that it makes.</summary>
    public const string VolumeName = "bench";

    private readonly IAsyncDisposable? _owned;
    private readonly FaultInjectingStore? _faults;
    private readonly string? _folder;

    private BenchTarget(string name, IBlockDevice device, MeteredBlobStore? store, IAsyncDisposable? owned, string? folder, FaultInjectingStore? faults = null)
    {
        (Name, Device, Store, _owned, _folder, _faults) = (name, device, store, owned, folder, faults);
        Unit = new LogicalUnit(device, new LogicalUnitOptions { MaximumTransferLengthBytes = Workload.BlockMaxBytes });
    }

    /// <summary>For people.</summary>
    public string Name { get; }

    public IBlockDevice Device { get; }

    public LogicalUnit Unit { get; }

    /// <summary>Null for the null device.</summary>
    public MeteredBlobStore? Store { get; }

    public Volume? Volume => Device as Volume;

    public long SizeBytes => (long)Device.Geometry.CapacityBlocks * Device.Geometry.BlockLengthBytes;

    public static BenchTarget Null(long sizeBytes, int blockBytes) => new(NullName, new NullDevice(sizeBytes, blockBytes), null, null, null);

    /// <summary>A volume of its own, with journal and directory store in a new folder below <paramref name="parent"/>; all of it goes with the target.</summary>
    public static async Task<BenchTarget> TemporaryAsync(
        string parent, VolumeSpec spec, VolumeOptions options, long journalBytes, TimeProvider time, ILogger logger, CancellationToken cancellationToken)
    {
        var folder = CreateFolder(parent);
        try
        {
            var store = new FileBlobStore(new FileStoreOptions { Path = Directory.CreateDirectory(Path.Combine(folder, "store")).FullName }, time);
            var journal = new JournalOptions { Directory = Path.Combine(folder, "journal"), CapacityBytes = journalBytes };
            return await InStoreAsync($"a temporary volume in {folder}", store, folder, spec, options, journal, time, logger, cancellationToken);
        }
        catch
        {
            Directory.Delete(folder, recursive: true);
            throw;
        }
    }

    /// <summary>As <see cref="TemporaryAsync"/>, with the store behind faults, and before them what stands before every configured store. They begin with <see cref="BeginFaults"/>.</summary>
    public static async Task<BenchTarget> TemporaryWithFaultsAsync(
        string parent, VolumeSpec spec, VolumeOptions options, long journalBytes, int seed, TimeProvider time, ILogger logger, CancellationToken cancellationToken)
    {
        var folder = CreateFolder(parent);
        ResilientStore? store = null;
        try
        {
            var file = new FileBlobStore(new FileStoreOptions { Path = Directory.CreateDirectory(Path.Combine(folder, "store")).FullName }, time);
            var faults = new FaultInjectingStore(file, new Random(seed), time);
            store = new ResilientStore(faults, new ResilienceOptions(), time, new Random(seed), logger);
            var metered = new MeteredBlobStore(store.Foreground);
            await new VolumeCatalog(metered, time).CreateAsync(VolumeName, spec, cancellationToken);
            var journal = new JournalOptions { Directory = Path.Combine(folder, "journal"), CapacityBytes = journalBytes };
            var opener = new VolumeOpener(metered, options, journal, ThisProgram.Owner, time, new Random(1), logger, metered.Beside(store.Background));
            return new BenchTarget($"a temporary volume in {folder}, with faults", await opener.OpenAsync(VolumeName, cancellationToken), metered, store, folder, faults);
        }
        catch
        {
            if (store is not null) await store.DisposeAsync();
            Directory.Delete(folder, recursive: true);
            throw;
        }
    }

    /// <summary>A new volume in a store that is owned from here on. With a folder, that goes, too.</summary>
    public static async Task<BenchTarget> InStoreAsync(
        string name, IBlobStore store, string? folder, VolumeSpec spec, VolumeOptions options, JournalOptions journal, TimeProvider time, ILogger logger, CancellationToken cancellationToken)
    {
        try
        {
            await new VolumeCatalog(store, time).CreateAsync(VolumeName, spec, cancellationToken);
        }
        catch
        {
            await store.DisposeAsync();
            throw;
        }

        return await ReopenAsync(name, store, folder, options, journal, time, logger, cancellationToken);
    }

    /// <summary>The volume that <see cref="InStoreAsync"/> made, opened again; store and folder are owned from here on.</summary>
    public static async Task<BenchTarget> ReopenAsync(
        string name, IBlobStore store, string? folder, VolumeOptions options, JournalOptions journal, TimeProvider time, ILogger logger, CancellationToken cancellationToken)
    {
        var metered = new MeteredBlobStore(store);
        try
        {
            var volume = await new VolumeOpener(metered, options, journal, ThisProgram.Owner, time, new Random(1), logger).OpenAsync(VolumeName, cancellationToken);
            return new BenchTarget(name, volume, metered, metered, folder);
        }
        catch
        {
            await metered.DisposeAsync();
            throw;
        }
    }

    /// <summary>A volume of the configuration, opened as 'serve' opens it: for good, with its journal.</summary>
    public static async Task<BenchTarget> ConfiguredAsync(
        GatewayConfiguration configuration, StoreSet stores, VolumePath path, TimeProvider time, ILogger logger, CancellationToken cancellationToken)
    {
        var store = new MeteredBlobStore(stores.Get(path.Store));
        var opener = new VolumeOpener(store, configuration.ToVolumeOptions(), configuration.Journal, ThisProgram.Owner, time, new Random(Environment.ProcessId), logger, store.Beside(stores.GetBackground(path.Store)));
        return new BenchTarget($"volume {path}", await opener.OpenAsync(path.Volume, cancellationToken), store, null, null);
    }

    /// <summary>From now on, until others do or the target is disposed of. Only for a target that was made with faults.</summary>
    public void BeginFaults(FaultPlan plan) => _faults!.Plan = plan;

    public async ValueTask DisposeAsync()
    {
        if (_faults is not null) _faults.Plan = FaultPlan.None;
        try
        {
            if (Volume is { } volume) await volume.DisposeAsync();
            if (_owned is not null) await _owned.DisposeAsync();
        }
        finally
        {
            if (_folder is not null) Directory.Delete(_folder, recursive: true);
        }
    }

    private static string CreateFolder(string parent)
    {
        try
        {
            for (var number = 1; ; number++)
            {
                var folder = Path.GetFullPath(Path.Combine(parent, $"tcmu-gateway-bench-{Environment.ProcessId}-{number}"));
                if (!Directory.Exists(folder)) return Directory.CreateDirectory(folder).FullName;
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new ConfigurationException($"A temporary volume cannot be made in '{parent}': {e.Message} Name a directory on the disk to be measured with --directory.");
        }
    }
}
