using Gateway.Backends.Core;
using Gateway.Configuration;
using Gateway.Lio;
using Gateway.Serving;
using Gateway.Volumes;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Gateway.Targets;

/// <summary>
/// Keeps LIO as declared: makes volumes and exports at the start and after a change, mends what was changed by hand, tries again what could not be done.
/// One look each half minute; while something is wrong after 5 s, and then after twice as long each time.
/// </summary>
internal sealed class TargetKeeper(GatewayService gateway, StoreSet stores, ExportBook book, LioReconciler lio, TimeProvider time, ILoggerFactory loggers) : BackgroundService
{
    private const string ManagedFile = "exports.managed";
    private static readonly TimeSpan LookEvery = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan RetryAfter = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan PurgeEvery = TimeSpan.FromHours(6);

    private readonly ILogger _logger = loggers.CreateLogger("Gateway.Targets");
    private readonly SemaphoreSlim _oneAtATime = new(1);
    private readonly SemaphoreSlim _changed = new(0, 1);
    private readonly VolumeFacts _facts = new(gateway.Configuration.StateDirectory, stores, loggers.CreateLogger("Gateway.Targets"));
    private volatile IReadOnlyList<LioFailure> _faults = [];

    /// <summary>What is not as declared, and why, as of the last look.</summary>
    public IReadOnlyList<LioFailure> Faults => _faults;

    /// <summary>What is to be exported: what the file declares, and what was added by hand.</summary>
    public TargetsSection Targets => book.Merge(gateway.Configuration.Targets);

    /// <summary>Makes all of it true now.</summary>
    /// <returns>What is not as declared.</returns>
    public async Task<IReadOnlyList<LioFailure>> ReconcileAsync(CancellationToken cancellationToken)
    {
        await _oneAtATime.WaitAsync(cancellationToken);
        try
        {
            var faults = await RunAsync(cancellationToken);
            var before = _faults;
            _faults = faults;
            foreach (var fault in faults.Except(before)) TargetsLog.Fault(_logger, fault.ToString());
            if (faults.Count == 0 && before.Count > 0) TargetsLog.Mended(_logger);
            return faults;
        }
        finally
        {
            _oneAtATime.Release();
        }
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        void Changed()
        {
            try
            {
                _changed.Release();
            }
            catch (SemaphoreFullException)
            {
                // It is going to be looked at anyway.
            }
        }

        gateway.ConfigurationChanged += Changed;
        try
        {
            await gateway.Started.WaitAsync(stoppingToken);
            var purge = PurgeAsync(stoppingToken);
            var retry = RetryAfter;
            while (true)
            {
                try
                {
                    await ReconcileAsync(stoppingToken);
                }
                catch (Exception e) when (e is not OperationCanceledException)
                {
                    TargetsLog.KeeperFault(_logger, e);
                }

                var wait = LookEvery;
                if (_faults.Count > 0)
                {
                    wait = retry;
                    retry = retry * 2 < LookEvery ? retry * 2 : LookEvery;
                }

                var change = _changed.WaitAsync(wait, stoppingToken);
                await Task.WhenAny(change, purge);
                if (_faults.Count == 0 || (change.IsCompletedSuccessfully && await change)) retry = RetryAfter; // Something new: it deserves haste again.
                stoppingToken.ThrowIfCancellationRequested();
            }
        }
        catch (OperationCanceledException)
        {
            // Asked to stop: exports stay, and initiators wait for whoever serves them next.
        }
        finally
        {
            gateway.ConfigurationChanged -= Changed;
        }
    }

    public override void Dispose()
    {
        _oneAtATime.Dispose();
        _changed.Dispose();
        base.Dispose();
    }

    private async Task<IReadOnlyList<LioFailure>> RunAsync(CancellationToken cancellationToken)
    {
        var configuration = gateway.Configuration;
        var targets = Targets;
        var faults = new List<LioFailure>();
        foreach (var name in book.Targets.Iscsi.Keys.Intersect(configuration.Targets.Iscsi.Keys))
            faults.Add(new LioFailure($"iscsi target {name}", "it is in the configuration file and was also added by hand; the file holds. 'tcmu-gateway target unexport --target' takes away what was added."));
        var facts = new Dictionary<string, (VolumeFact? Fact, string? Reason)>(StringComparer.Ordinal);
        foreach (var volume in targets.Volumes.Union(configuration.Volumes.Each.Where(v => v.Value.Size is not null).Select(v => v.Key), StringComparer.Ordinal))
        {
            var path = VolumePath.Parse(volume);
            var spec = configuration.Volumes.Each.GetValueOrDefault(volume)?.ToSpec();
            facts[volume] = await _facts.FindAsync(path, spec, cancellationToken);
            if (facts[volume] is { Reason: { } reason, Fact: not null }) faults.Add(new LioFailure($"volume {volume}", reason));
            if (facts[volume].Fact is null && !targets.Volumes.Contains(volume)) faults.Add(new LioFailure($"volume {volume}", facts[volume].Reason ?? "it is not known."));
            if (spec is { } wanted && facts[volume].Fact is { } fact) facts[volume] = (await GrowAsync(path, wanted.SizeBytes, fact, faults, cancellationToken), null);
        }

        // What was never asked of us is not ours to look at: LIO may not even be there. What was, is to go, also when the file is emptied while nobody runs.
        var managed = Path.Combine(configuration.StateDirectory, ManagedFile);
        if (targets.IsEmpty && !File.Exists(managed)) return faults;
        if (!File.Exists(managed)) StateFile.WriteBytes(managed, "The exports of this host are looked after: see 'targets' in the configuration.\n"u8);
        var desired = DesiredTargets.Of(targets, facts, Environment.MachineName, out var unknown);
        var result = await lio.ReconcileAsync(desired, cancellationToken);
        faults.AddRange(result.Failures.Where(f => !unknown.ContainsKey(f.Item)));
        faults.AddRange(unknown.Select(u => new LioFailure(u.Key, u.Value)));
        if (targets.IsEmpty && result.Succeeded) File.Delete(managed);
        return faults;
    }

    /// <summary>Grows a volume that is declared larger. One that is declared smaller stays as it is, and that is said.</summary>
    private async Task<VolumeFact> GrowAsync(VolumePath path, long wantedBytes, VolumeFact fact, List<LioFailure> faults, CancellationToken cancellationToken)
    {
        if (wantedBytes < fact.SizeBytes) faults.Add(new LioFailure($"volume {path}", $"it is declared with {wantedBytes} bytes and has {fact.SizeBytes}: volumes do not shrink. Correct its size in the configuration file."));
        if (wantedBytes <= fact.SizeBytes) return fact;
        try
        {
            await gateway.GrowAsync(path, wantedBytes, cancellationToken);
            TargetsLog.VolumeGrown(_logger, path, wantedBytes);
            return fact with { SizeBytes = wantedBytes };
        }
        catch (Exception e) when (e is VolumeException or BlobStoreException or IOException)
        {
            faults.Add(new LioFailure($"volume {path}", $"it could not be grown to {wantedBytes} bytes: {e.Message}"));
            return fact;
        }
    }

    /// <summary>Removes for good what has been in the trash for long enough.</summary>
    private async Task PurgeAsync(CancellationToken stoppingToken)
    {
        using var timer = new PeriodicTimer(PurgeEvery, time);
        while (await timer.WaitForNextTickAsync(stoppingToken))
        {
            try
            {
                await gateway.PurgeExpiredAsync(stoppingToken);
            }
            catch (Exception e) when (e is not OperationCanceledException)
            {
                TargetsLog.Fault(_logger, $"The trash could not be emptied: {e.Message}");
            }
        }
    }
}
