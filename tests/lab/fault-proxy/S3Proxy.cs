using System.Globalization;
using System.Net;
using Microsoft.AspNetCore.Http.Features;

namespace Gateway.FaultProxy;

/// <summary>Hands S3 requests on as they come, signature and all, and has some of them fail.</summary>
internal sealed class S3Proxy(Uri upstream, Random random) : IDisposable
{
    // Of one connection to the next, not of the message.
    private static readonly HashSet<string> HopByHop = new(StringComparer.OrdinalIgnoreCase) { "Connection", "Keep-Alive", "Transfer-Encoding", "Expect", "Host", "Content-Length" };

    private readonly HttpMessageInvoker _http = new(new SocketsHttpHandler { AllowAutoRedirect = false, UseCookies = false, UseProxy = false, AutomaticDecompression = DecompressionMethods.None });
    private readonly Lock _gate = new();
    private long _requests;
    private long _failed;

    public Faults Faults { get; set; } = new();

    /// <summary>Requests seen, and those that this proxy had fail.</summary>
    public string Counts => string.Create(CultureInfo.InvariantCulture, $"{Interlocked.Read(ref _requests)} {Interlocked.Read(ref _failed)}");

    public async Task HandleAsync(HttpContext context)
    {
        Interlocked.Increment(ref _requests);
        var faults = Faults;
        if (faults.BlackHole || faults.Revoked || faults.BucketGone)
        {
            Interlocked.Increment(ref _failed);
            if (faults.BlackHole) await Task.Delay(Timeout.InfiniteTimeSpan, TimeProvider.System, context.RequestAborted);
            else if (faults.Revoked) await RefuseAsync(context, HttpStatusCode.Forbidden, "InvalidAccessKeyId");
            else await RefuseAsync(context, HttpStatusCode.NotFound, "NoSuchBucket");
            return;
        }

        if (Applies(faults.Slow)) await Task.Delay(faults.Delay, TimeProvider.System, context.RequestAborted);
        if (Applies(faults.Unavailable))
        {
            Interlocked.Increment(ref _failed);
            await RefuseAsync(context, HttpStatusCode.ServiceUnavailable, "SlowDown");
            return;
        }

        var resets = Applies(faults.Reset);
        if (resets) Interlocked.Increment(ref _failed);
        if (resets && Applies(0.5)) context.Abort();
        else await ForwardAsync(context, faults, answer: !resets);
    }

    public void Dispose() => _http.Dispose();

    private bool Applies(double rate)
    {
        if (rate == 0) return false;
        lock (_gate) return random.NextDouble() < rate;
    }

    private static async Task RefuseAsync(HttpContext context, HttpStatusCode status, string code)
    {
        context.Response.StatusCode = (int)status;
        context.Response.ContentType = "application/xml";
        context.Response.Headers.Connection = "close"; // The body, if there is one, is not read.
        await context.Response.WriteAsync($"""<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>By design of the test.</Message></Error>""", context.RequestAborted);
    }

    private async Task ForwardAsync(HttpContext context, Faults faults, bool answer)
    {
        try
        {
            using var request = NewRequest(context);
            using var response = await _http.SendAsync(request, context.RequestAborted);
            if (!answer)
            {
                context.Abort();
                return;
            }

            context.Response.StatusCode = (int)response.StatusCode;
            foreach (var (name, values) in response.Headers.NonValidated.Concat(response.Content.Headers.NonValidated))
                if (!HopByHop.Contains(name)) context.Response.Headers[name] = values.ToArray();
            context.Response.ContentLength = response.Content.Headers.ContentLength;
            await using var body = await response.Content.ReadAsStreamAsync(context.RequestAborted);
            var flips = faults.Flip.Length > 0 && context.Request.Method == "GET" && context.Request.Path.Value!.Contains(faults.Flip, StringComparison.Ordinal);
            await CopyAsync(body, context, flips ? faults.FlipAt - (response.Content.Headers.ContentRange?.From ?? 0) : -1);
        }
        catch (Exception e) when (e is HttpRequestException or IOException or OperationCanceledException)
        {
            context.Abort(); // What it would see without us.
        }
    }

    private static async Task CopyAsync(Stream body, HttpContext context, long flipAt)
    {
        var buffer = new byte[64 << 10];
        long at = 0;
        for (int read; (read = await body.ReadAsync(buffer, context.RequestAborted)) > 0; at += read)
        {
            if (flipAt >= at && flipAt < at + read) buffer[flipAt - at] ^= 1;
            await context.Response.Body.WriteAsync(buffer.AsMemory(0, read), context.RequestAborted);
        }
    }

    private HttpRequestMessage NewRequest(HttpContext context)
    {
        // The path as it came: the signature is over its very bytes.
        var target = context.Features.Get<IHttpRequestFeature>()!.RawTarget;
        var request = new HttpRequestMessage(
            new HttpMethod(context.Request.Method),
            new Uri(upstream.GetLeftPart(UriPartial.Authority) + target, new UriCreationOptions { DangerousDisablePathAndQueryCanonicalization = true }));
        if (context.Request.ContentLength is { } length)
        {
            request.Content = length == 0 ? new ByteArrayContent([]) : new StreamContent(context.Request.Body);
            request.Content.Headers.ContentLength = length;
        }

        foreach (var (name, values) in context.Request.Headers)
        {
            if (HopByHop.Contains(name)) continue;
            if (!request.Headers.TryAddWithoutValidation(name, values.ToArray())) request.Content?.Headers.TryAddWithoutValidation(name, values.ToArray());
        }

        request.Headers.Host = context.Request.Host.Value;
        return request;
    }
}
