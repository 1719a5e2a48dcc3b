using System.Globalization;
using Gateway.Backends.Resilience;
using Gateway.Serving;

namespace Gateway.Health;

/// <summary>What a supervisor should make of the gateway, or of a part of it.</summary>
internal enum HealthStatus
{
    Ok,

    /// <summary>Something is wrong that no restart and no other node would mend: a store is away, or another gateway serves.</summary>
    Degraded,

    /// <summary>This node does not do its work.</summary>
    Unready,
}

/// <summary>The health of one volume.</summary>
/// <param name="Volume">STORE/VOLUME.</param>
/// <param name="Device">As the kernel names it.</param>
/// <param name="Condition">How it is served.</param>
/// <param name="Reason">What is wrong, and what to do; null if nothing is.</param>
/// <param name="OldestCommand">How long its oldest unanswered command has been waiting.</param>
/// <param name="LeaseLeft">How long it may still acknowledge if its store says nothing more; null without a lease, or while it is not open.</param>
internal sealed record VolumeHealth(string Volume, string Device, VolumeCondition Condition, string? Reason, TimeSpan OldestCommand, TimeSpan? LeaseLeft)
{
    public HealthStatus Status => Condition switch
    {
        VolumeCondition.Serving => HealthStatus.Ok,
        VolumeCondition.Standby or VolumeCondition.LeaseRunOut or VolumeCondition.StoreAway => HealthStatus.Degraded,
        _ => HealthStatus.Unready,
    };
}

/// <summary>The health of one store that is in use.</summary>
/// <param name="Store">Its name.</param>
/// <param name="Breaker">Whether requests are sent to it.</param>
/// <param name="Reason">What is wrong; null if nothing is.</param>
internal sealed record ConditionOfStore(string Store, CircuitState Breaker, string? Reason)
{
    /// <summary>A store that has done nothing for so long is away, even if so little was asked of it that its breaker stays closed.</summary>
    private static readonly TimeSpan AwayAfter = TimeSpan.FromSeconds(10);

    public HealthStatus Status => Reason is null ? HealthStatus.Ok : HealthStatus.Degraded;

    public static ConditionOfStore Of(string name, StoreHealth health)
    {
        var reason = (health.RefusedFor, health.AwayFor, health.State) switch
        {
            ({ Ticks: > 0 }, _, _) => $"it has refused our requests for {Seconds(health.RefusedFor)}: {health.LastError}",
            (_, var away, _) when away >= AwayAfter => $"it has done nothing for {Seconds(away)}: {health.LastError}",
            (_, _, not CircuitState.Closed) => $"no requests are sent to it since {health.Since:u}: {health.LastError}",
            _ => null,
        };
        return new ConditionOfStore(name, health.State, reason);
    }

    private static string Seconds(TimeSpan time) => string.Create(CultureInfo.InvariantCulture, $"{time.TotalSeconds:0} s");
}

/// <summary>The health of the gateway at one moment.</summary>
/// <param name="Volumes">By device name.</param>
/// <param name="Stores">By name, those that are in use.</param>
/// <param name="NotLive">Why only a restart of the process helps; null if that is not so.</param>
/// <param name="IsStarting">The devices that were there at the start are not all attached yet: nothing can be said of them.</param>
internal sealed record HealthReport(IReadOnlyList<VolumeHealth> Volumes, IReadOnlyList<ConditionOfStore> Stores, string? NotLive, bool IsStarting = false)
{
    public static readonly HealthReport BeforeFirst = new([], [], null, IsStarting: true);

    /// <summary>That of the worst part.</summary>
    public HealthStatus Status => Volumes.Select(v => v.Status).Concat(Stores.Select(s => s.Status)).Append(NotLive is null && !IsStarting ? HealthStatus.Ok : HealthStatus.Unready).Max();

    /// <summary>What is wrong, the worst first.</summary>
    public IEnumerable<string> Reasons => Volumes.Where(v => v.Status != HealthStatus.Ok).Select(v => (v.Status, Text: $"volume {v.Volume}: {v.Reason}"))
        .Concat(Stores.Where(s => s.Status != HealthStatus.Ok).Select(s => (s.Status, Text: $"store {s.Store}: {s.Reason}")))
        .Concat(IsStarting ? [(Status: HealthStatus.Unready, Text: "devices are being attached")] : [])
        .OrderByDescending(r => r.Status).Select(r => r.Text);
}
