using System.Net;
using Microsoft.AspNetCore.Http;
using Microsoft.Net.Http.Headers;

namespace Gateway.Http;

/// <summary>What holds for every request: it reads, and the answer is for pages of ours alone.</summary>
/// <param name="isLocal">
/// The server listens on this host's loopback alone. Then a request must be for it by address or as localhost: a page elsewhere whose name was made to
/// resolve to 127.0.0.1 (DNS rebinding) would be of one origin with us in the eyes of a browser.
/// </param>
internal sealed class RequestRules(bool isLocal)
{
    private const string ContentSecurityPolicy = "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

    public Task InvokeAsync(HttpContext context, RequestDelegate next)
    {
        var headers = context.Response.Headers;
        headers.ContentSecurityPolicy = ContentSecurityPolicy;
        headers.XContentTypeOptions = "nosniff";
        headers.XFrameOptions = "DENY";
        headers["Referrer-Policy"] = "no-referrer";
        headers["Cross-Origin-Resource-Policy"] = "same-origin";
        headers.CacheControl = "no-store";
        if (isLocal && !IsLocalName(context.Request.Host.Host))
        {
            context.Response.StatusCode = StatusCodes.Status421MisdirectedRequest;
            return context.Response.WriteAsync("This is served to this host alone: ask for it as localhost or 127.0.0.1.\n");
        }

        if (HttpMethods.IsGet(context.Request.Method) || HttpMethods.IsHead(context.Request.Method)) return next(context);
        context.Response.StatusCode = StatusCodes.Status405MethodNotAllowed;
        headers[HeaderNames.Allow] = "GET, HEAD";
        return Task.CompletedTask;
    }

    private static bool IsLocalName(string host) => host.Length == 0 || IPAddress.TryParse(host, out _) || host.Equals("localhost", StringComparison.OrdinalIgnoreCase);
}
