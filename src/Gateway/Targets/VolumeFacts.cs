using Gateway.Backends.Core;
using Gateway.Configuration;
using Gateway.Volumes;
using Microsoft.Extensions.Logging;

namespace Gateway.Targets;

/// <summary>What a device needs to know of its volume. It never changes but for the size, which grows.</summary>
internal sealed record VolumeFact(Guid Id, long SizeBytes, int BlockSizeBytes);

/// <summary>What is known of the exported volumes: from their stores, or, while a store does not answer, from the last time. Not thread safe.</summary>
internal sealed class VolumeFacts(string stateDirectory, StoreSet stores, ILogger logger)
{
    /// <summary>Its name in the state directory.</summary>
    public const string FileName = "volumes.json";

    private static readonly TimeSpan AnswerTimeout = TimeSpan.FromSeconds(15);
    private readonly string _path = Path.Combine(stateDirectory, FileName);
    private Dictionary<string, VolumeFact>? _known;

    /// <summary>Facts of a volume; null with the reason if there are none.</summary>
    /// <param name="path">The volume.</param>
    /// <param name="spec">With one, the volume is made if its store says that it is not there.</param>
    /// <param name="cancellationToken">Ends it.</param>
    public async Task<(VolumeFact? Fact, string? Reason)> FindAsync(VolumePath path, VolumeSpec? spec, CancellationToken cancellationToken)
    {
        _known ??= Load();
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        limit.CancelAfter(AnswerTimeout);
        try
        {
            var catalog = new VolumeCatalog(stores.Get(path.Store), TimeProvider.System);
            VolumeFact fact;
            try
            {
                var identity = await catalog.IdentifyAsync(path.Volume, limit.Token);
                fact = new VolumeFact(identity.Id, identity.SizeBytes, identity.BlockSizeBytes);
            }
            catch (VolumeException e) when (e.Kind == VolumeErrorKind.NotFound && spec is not null)
            {
                // Another bucket, or a volume that was removed: an empty disk in its place would be worse than none.
                if (_known.GetValueOrDefault(path.ToString()) is { } lost)
                    return (null, $"it was there (id {lost.Id}), and its store has it no more. Look for it ('tcmu-gateway volume list --trash'; is it the right bucket?). 'tcmu-gateway volume create {path}' makes an empty one.");
                var made = await catalog.CreateAsync(path.Volume, spec.Value, limit.Token);
                TargetsLog.VolumeMade(logger, path, made.SizeBytes);
                fact = new VolumeFact(made.Id, made.SizeBytes, made.BlockSizeBytes);
            }

            if (_known.GetValueOrDefault(path.ToString()) != fact)
            {
                _known[path.ToString()] = fact;
                StateFile.Write(_path, _known, ExportJson.Default.DictionaryStringVolumeFact);
            }

            return (fact, null);
        }
        catch (Exception e) when (e is BlobStoreException { IsTransient: true } || (e is OperationCanceledException && !cancellationToken.IsCancellationRequested))
        {
            // The device is there, or can be made, all the same; it is served once the store is back.
            var known = _known.GetValueOrDefault(path.ToString());
            return (known, known is null ? e is BlobStoreException ? e.Message : $"its store has not answered within {AnswerTimeout.TotalSeconds:0} s." : null);
        }
        catch (Exception e) when (e is BlobStoreException or VolumeException or ConfigurationException)
        {
            return (e is BlobStoreException ? _known.GetValueOrDefault(path.ToString()) : null, e.Message);
        }
    }

    private Dictionary<string, VolumeFact> Load()
    {
        try
        {
            return StateFile.Read(_path, ExportJson.Default.DictionaryStringVolumeFact) ?? [];
        }
        catch (ConfigurationException)
        {
            return []; // The stores know better.
        }
    }
}
