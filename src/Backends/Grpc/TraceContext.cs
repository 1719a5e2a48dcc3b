using System.Diagnostics;
using Grpc.Core;

namespace Gateway.Backends.Grpc;

/// <summary>Tells a server of which trace a call is a part (W3C Trace Context, 3.2 traceparent, 3.3 tracestate).</summary>
internal static class TraceContext
{
    /// <summary>The headers with those of the present trace, if its spans are kept; else the headers as they are.</summary>
    public static Metadata? AddTo(Metadata? headers)
    {
        if (Activity.Current is not { Recorded: true, IdFormat: ActivityIdFormat.W3C, Id: { } id } span) return headers;
        headers ??= [];
        headers.Add("traceparent", id);
        if (span.TraceStateString is { Length: > 0 } state) headers.Add("tracestate", state);
        return headers;
    }
}
