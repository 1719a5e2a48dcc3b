namespace Gateway.Tcmu;

/// <summary>The ring holds what the kernel never writes: the device cannot be served any longer without a ring reset.</summary>
public sealed class RingBrokenException(string message) : Exception(message);
