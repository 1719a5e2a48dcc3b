using Gateway.Backends.Core;
using Gateway.Backends.Resilience;
using Gateway.Configuration;
using Gateway.Serving;
using Gateway.Tcmu;
using Gateway.Volumes;

namespace Gateway.Telemetry;

/// <summary>A device that is served, for metrics.</summary>
/// <param name="Volume">STORE/VOLUME.</param>
/// <param name="Ring">Its ring; null before the first.</param>
/// <param name="RingBreaks">How often it broke.</param>
/// <param name="State">How its volume is served.</param>
/// <param name="Open">Its volume, while it is open.</param>
internal sealed record MeteredDevice(string Volume, RingDevice? Ring, long RingBreaks, ServedVolume State, Volume? Open);

/// <summary>A store that is in use, for metrics.</summary>
internal sealed record MeteredStore(string Name, string Type, StoreHealth Health, RequestMeter Requests);

/// <summary>What metrics are read from.</summary>
internal interface IMetricSource
{
    /// <summary>The devices. Of several for one volume, the one that serves it is the last: its figures hold.</summary>
    IEnumerable<MeteredDevice> Devices { get; }

    IEnumerable<MeteredStore> Stores { get; }
}

/// <summary>The daemon's devices and stores.</summary>
internal sealed class DaemonMetricSource(GatewayService gateway, StoreSet stores) : IMetricSource
{
    public IEnumerable<MeteredDevice> Devices => gateway.Sessions
        .Select(s => new MeteredDevice(s.Target.State.Volume, s.Ring, s.RingBreaks, s.Target.State, s.Target.Volume))
        .OrderBy(d => d.State.Reason is null);

    public IEnumerable<MeteredStore> Stores => stores.Metered.Select(s => new MeteredStore(s.Name, s.Type, s.Health, s.Requests));
}
