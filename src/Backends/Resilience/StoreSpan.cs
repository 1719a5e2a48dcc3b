using System.Diagnostics;
using Gateway.Backends.Core;
using Gateway.Diagnostics;

namespace Gateway.Backends.Resilience;

/// <summary>The span of one request to a store, repetitions included, within the trace of what asks for it. There is none where nothing is traced.</summary>
internal static class StoreSpan
{
    /// <summary>Begins it; null if the present activity is none whose trace is kept.</summary>
    public static Activity? Start(string operation, string store)
    {
        if (Activity.Current is not { IsAllDataRequested: true }) return null;
        var span = CommandTracing.Source.StartActivity($"store {operation}", ActivityKind.Client);
        span?.SetTag("gateway.store.description", store);
        return span;
    }

    /// <summary>Ends it with the request.</summary>
    public static async ValueTask<T> EndAsync<T>(this Activity span, ValueTask<T> request)
    {
        try
        {
            return await request;
        }
        catch (Exception e)
        {
            span.SetTag("error.type", RequestMeter.ErrorOf(e));
            span.SetStatus(ActivityStatusCode.Error, e.Message);
            throw;
        }
        finally
        {
            span.Dispose();
        }
    }

    /// <summary>Notes something in the request's span, if it has one.</summary>
    public static void Note(string name, Exception? failure)
    {
        if (Activity.Current is not { IsAllDataRequested: true } span) return;
        span.AddEvent(failure is null ? new ActivityEvent(name) : new ActivityEvent(name, tags: new ActivityTagsCollection { ["error.type"] = RequestMeter.ErrorOf(failure), ["exception.message"] = failure.Message }));
    }
}
