using System.Globalization;
using System.Net.Http.Headers;
using Amazon.Runtime;
using Amazon.Runtime.Internal;

namespace Gateway.Backends.S3;

/// <summary>Reads Retry-After, in either of its forms (RFC 9110, 10.2.3), from the head of a failed answer.</summary>
internal static class RetryAfterHeader
{
    /// <summary>How long the store asks to be left alone; null if it does not, or not in words that can be understood.</summary>
    public static TimeSpan? Of(AmazonServiceException answer) =>
        answer.InnerException is HttpErrorResponseException { Response: { } head } ? Parse(head.GetHeaderValue("Retry-After"), head.GetHeaderValue("Date")) : null;

    /// <param name="value">Seconds, or the moment by the store's clock.</param>
    /// <param name="date">What that clock showed when it answered: only the difference means anything here.</param>
    public static TimeSpan? Parse(string? value, string? date)
    {
        if (!RetryConditionHeaderValue.TryParse(value, out var after)) return null;
        if (after.Delta is { } delta) return delta;
        if (!DateTimeOffset.TryParseExact(date, "r", CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out var now)) return null;
        var wait = after.Date!.Value - now;
        return wait > TimeSpan.Zero ? wait : TimeSpan.Zero;
    }
}
