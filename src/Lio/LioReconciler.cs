using Microsoft.Extensions.Logging;

namespace Gateway.Lio;

/// <summary>Makes a declared set of backstores and exports true in LIO's configfs, and removes what it made and is not declared any more.</summary>
/// <remarks>
/// Repeating it changes nothing; after a crash, a reboot or a change by hand it repairs. It touches nothing that it has not made, except a TCMU device
/// of exactly a declared volume, which it takes over. While it works somebody has to answer the kernel's netlink events: never wait for it there.
/// Thread safe; one reconciliation runs at a time. One process at a time may reconcile.
/// </remarks>
public sealed class LioReconciler(IConfigfs configfs, IModuleLoader modules, LioOptions options, TimeProvider time, ILogger logger) : IDisposable
{
    /// <summary>A first round does the work, a second finds nothing to do. What still differs then is set back by the kernel or by somebody else.</summary>
    private const int RoundsMax = 3;

    private readonly SemaphoreSlim _oneAtATime = new(1);
    private readonly List<PartRunner> _stuck = [];

    /// <summary>What <see cref="ReconcileAsync"/> would do. Changes nothing.</summary>
    public Task<LioPlan> PlanAsync(DesiredState desired, CancellationToken cancellationToken) =>
        Task.Factory.StartNew(() => LioPlanner.Plan(configfs, options, desired), cancellationToken, TaskCreationOptions.LongRunning, TaskScheduler.Default);

    /// <summary>Makes <paramref name="desired"/> true, as far as it can be.</summary>
    /// <returns>What was done, and what could not be: never an exception for something that LIO or the declaration is to blame for.</returns>
    /// <exception cref="OperationCanceledException">Stopped after the step in progress. What is half made is repaired by the next reconciliation.</exception>
    public async Task<ReconcileResult> ReconcileAsync(DesiredState desired, CancellationToken cancellationToken)
    {
        await _oneAtATime.WaitAsync(cancellationToken);
        try
        {
            var result = await RunRoundsAsync(desired, cancellationToken);
            foreach (var failure in result.Failures) LioLog.Failure(logger, failure.Item, failure.Message);
            foreach (var warning in result.Warnings) LioLog.Warning(logger, warning.Item, warning.Message);
            if (result.Steps.Count > 0) LioLog.Reconciled(logger, result.Steps.Count, result.Failures.Count);
            return result;
        }
        finally
        {
            _oneAtATime.Release();
        }
    }

    public void Dispose() => _oneAtATime.Dispose();

    private async Task<ReconcileResult> RunRoundsAsync(DesiredState desired, CancellationToken cancellationToken)
    {
        var done = new List<LioStep>();
        for (var round = 1; ; round++)
        {
            var plan = await PlanAsync(desired, cancellationToken);
            var failures = new List<LioFailure>(plan.Failures);
            if (round > RoundsMax)
            {
                foreach (var part in plan.Parts.DistinctBy(p => p.Item))
                    failures.Add(new LioFailure(part.Item, $"it does not stay as declared ({part.Steps[0]}). Does somebody else, such as targetcli, change it at the same time?"));
                return new ReconcileResult(done, failures, plan.Warnings);
            }

            var failed = await RunAsync(plan, done, failures, cancellationToken);
            if (failed || plan.Steps.Count == 0) return new ReconcileResult(done, failures, plan.Warnings);
        }
    }

    /// <summary>Does a plan's parts in their order; those that build on a failed one are left out.</summary>
    /// <returns>True if one failed.</returns>
    private async Task<bool> RunAsync(LioPlan plan, List<LioStep> done, List<LioFailure> failures, CancellationToken cancellationToken)
    {
        var failed = new HashSet<PlanPart>();
        foreach (var part in plan.Parts)
        {
            cancellationToken.ThrowIfCancellationRequested();
            if (Needs(part).Any(failed.Contains))
            {
                failed.Add(part);
                continue;
            }

            var message = await RunAsync(part, done, cancellationToken);
            if (message is null) continue;
            failed.Add(part);
            failures.Add(new LioFailure(part.Item, message));
        }

        return failed.Count > 0;
    }

    /// <summary>All parts that a part builds on; also those without steps, which a plan leaves out, lead to others.</summary>
    private static IEnumerable<PlanPart> Needs(PlanPart part) => part.Requires.SelectMany(other => Needs(other).Prepend(other));

    /// <summary>Does a part's steps.</summary>
    /// <returns>Null, or what went wrong and what to do.</returns>
    private async Task<string?> RunAsync(PlanPart part, List<LioStep> done, CancellationToken cancellationToken)
    {
        _stuck.RemoveAll(runner => runner.Ended.IsCompleted);
        if (_stuck.Find(runner => runner.Part.Item == part.Item) is { } before) return StuckMessage(before);
        var runner = new PartRunner(configfs, modules, options, part);
        runner.Start();
        try
        {
            await runner.Ended.WaitAsync(options.PartTimeout, time, cancellationToken);
            return null;
        }
        catch (IOException e)
        {
            return $"{runner.Current} failed: {e.Message.TrimEnd('.')}. {part.Remedy}";
        }
        catch (TimeoutException)
        {
            runner.Abandon();
            _stuck.Add(runner);
            return StuckMessage(runner);
        }
        catch (OperationCanceledException)
        {
            runner.Abandon();
            _stuck.Add(runner);
            throw;
        }
        finally
        {
            foreach (var step in runner.Done)
            {
                done.Add(step);
                LioLog.Step(logger, part.Item, step);
            }
        }
    }

    private string StuckMessage(PartRunner runner) =>
        $"{runner.Current} has not come back for {options.PartTimeout.TotalSeconds:0} s: the kernel waits for the daemon's answer, or for commands in flight. Start 'tcmu-gateway serve'; if nothing else helps, "
        + $"write 1 to block_netlink, 1 to reset_netlink and 0 to block_netlink in {Path.Combine(options.SysfsRoot, "module/target_core_user/parameters")}.";
}
