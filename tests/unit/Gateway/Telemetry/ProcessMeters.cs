using Xunit;

namespace Gateway.Tests.Telemetry;

/// <summary>Tests that count series: meters are the process's, so a gateway of another test that runs beside them would be counted, too.</summary>
[CollectionDefinition(Name, DisableParallelization = true)]
public sealed class ProcessMeters
{
    public const string Name = "Meters of the process";
}
