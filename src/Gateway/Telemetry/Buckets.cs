namespace Gateway.Telemetry;

/// <summary>Upper bounds of histograms' buckets, in seconds.</summary>
internal static class Buckets
{
    /// <summary>From what memory serves to what a command may take at most.</summary>
    public static readonly double[] Commands = [0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30];

    /// <summary>From a local disk's cache to a store that hangs.</summary>
    public static readonly double[] Requests = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60];
}
