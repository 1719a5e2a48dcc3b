namespace Gateway.Backends.Resilience;

/// <summary>Inside a store's exception: the request was not sent, and sending it again at once would be refused, too.</summary>
internal sealed class RefusedException(string message) : Exception(message);
