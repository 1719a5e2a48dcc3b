using System.Net;
using Amazon.Runtime.EventStreams;
using Amazon.Runtime.Internal.Transform;

namespace Gateway.Backends.S3;

/// <summary>An answer's head in the form that the SDK's parsers take.</summary>
internal sealed class S3AnswerData(HttpResponseMessage response, int bodyBytes) : IWebResponseData
{
    public long ContentLength => bodyBytes;

    public string ContentType => response.Content.Headers.ContentType?.ToString() ?? "";

    public HttpStatusCode StatusCode => response.StatusCode;

    public bool IsSuccessStatusCode => response.IsSuccessStatusCode;

    public IHttpResponseBody ResponseBody => throw new NotSupportedException("The body was read before.");

    public string[] GetHeaderNames() => [.. response.Headers.Concat(response.Content.Headers).Select(h => h.Key)];

    public bool IsHeaderPresent(string headerName) => TryGet(headerName, out _);

    /// <summary>The header's value, or an empty text.</summary>
    public string GetHeaderValue(string headerName) => TryGet(headerName, out var value) ? value : "";

    public bool IsEventHeaderPresent(string headerName) => false;

    public IEventStreamHeader GetEventStreamHeader(string headerName) => throw new NotSupportedException("An event stream is never asked for.");

    private bool TryGet(string name, out string value)
    {
        var found = response.Headers.TryGetValues(name, out var values) || response.Content.Headers.TryGetValues(name, out values);
        value = found ? string.Join(',', values!) : "";
        return found;
    }
}
