using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using Amazon.Runtime;

namespace Gateway.Backends.S3;

/// <summary>Signs requests with AWS Signature Version 4 in the Authorization header. Thread safe.</summary>
/// <remarks>
/// "Signature Calculations for the Authorization Header: Transferring Payload in a Single Chunk (AWS Signature Version 4)", Amazon S3 API Reference.
/// The key that signs depends on the day, the region and the secret only: it is kept until one of them changes, which saves four of five HMACs.
/// Every header that is given here is signed: nobody on the way can take a condition or a range out of a request.
/// </remarks>
internal sealed class S3Signer(string region)
{
    /// <summary>What stands for the payload's hash when the payload is not signed.</summary>
    public const string UnsignedPayload = "UNSIGNED-PAYLOAD";

    /// <summary>SHA-256 of nothing, as a request without a body has it.</summary>
    public const string EmptyPayload = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    private const string Algorithm = "AWS4-HMAC-SHA256";

    private volatile SigningKey? _key;

    /// <summary>Adds <paramref name="headers"/>, those of the signature and the signature itself to a request.</summary>
    /// <param name="request">Its URI has no query, and a path that is escaped as it goes over the wire.</param>
    /// <param name="headers">Names in lower case and in ordinal order, all below "x-amz-content-sha256"; values without spaces at their ends.</param>
    /// <param name="payloadHash">SHA-256 of the body in lower-case hexadecimal digits, or <see cref="UnsignedPayload"/>.</param>
    /// <param name="credentials">Key id, secret, and the token of temporary ones.</param>
    /// <param name="now">The time that the store compares with its own.</param>
    public void Sign(HttpRequestMessage request, ReadOnlySpan<(string Name, string Value)> headers, string payloadHash, ImmutableCredentials credentials, DateTimeOffset now)
    {
        var uri = request.RequestUri!;
        var time = now.UtcDateTime.ToString("yyyyMMdd'T'HHmmss'Z'", CultureInfo.InvariantCulture);
        var day = time[..8];
        var token = credentials.UseToken ? credentials.Token : null;

        // The canonical request wants its headers sorted: "host" has its place among those given, the rest comes after them.
        var canonical = new StringBuilder(1024);
        var signed = new StringBuilder(128);
        canonical.Append(request.Method.Method).Append('\n').Append(uri.AbsolutePath).Append("\n\n");
        var hostIsAdded = false;
        foreach (var (name, value) in headers)
        {
            if (!hostIsAdded && string.CompareOrdinal(name, "host") > 0) AddHost();
            Add(name, value);
            // Content headers come with the content.
            if (name is not ("content-type" or "content-md5")) request.Headers.TryAddWithoutValidation(name, value);
        }

        if (!hostIsAdded) AddHost();
        Add("x-amz-content-sha256", payloadHash);
        Add("x-amz-date", time);
        if (token is not null) Add("x-amz-security-token", token);
        signed.Length--; // The last ';'.
        canonical.Append('\n').Append(signed).Append('\n').Append(payloadHash);

        var scope = $"{day}/{region}/s3/aws4_request";
        var toSign = $"{Algorithm}\n{time}\n{scope}\n{Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(canonical.ToString())))}";
        var signature = Convert.ToHexStringLower(HMACSHA256.HashData(KeyFor(credentials.SecretKey, day), Encoding.UTF8.GetBytes(toSign)));

        request.Headers.TryAddWithoutValidation("x-amz-content-sha256", payloadHash);
        request.Headers.TryAddWithoutValidation("x-amz-date", time);
        if (token is not null) request.Headers.TryAddWithoutValidation("x-amz-security-token", token);
        request.Headers.TryAddWithoutValidation("Authorization", $"{Algorithm} Credential={credentials.AccessKey}/{scope}, SignedHeaders={signed}, Signature={signature}");

        void AddHost()
        {
            hostIsAdded = true;
            Add("host", uri.Authority); // As HttpClient sends it: the port only where it is not the scheme's own.
        }

        void Add(string name, string value)
        {
            canonical.Append(name).Append(':').Append(value).Append('\n');
            signed.Append(name).Append(';');
        }
    }

    private byte[] KeyFor(string secret, string day)
    {
        if (_key is { } known && known.Day == day && known.Secret == secret) return known.Key;

        var key = HMACSHA256.HashData(Encoding.UTF8.GetBytes("AWS4" + secret), Encoding.UTF8.GetBytes(day));
        foreach (var part in (string[])[region, "s3", "aws4_request"]) key = HMACSHA256.HashData(key, Encoding.UTF8.GetBytes(part));
        _key = new SigningKey(day, secret, key);
        return key;
    }

    private sealed class SigningKey(string day, string secret, byte[] key)
    {
        public string Day => day;
        public string Secret => secret;
        public byte[] Key => key;
    }
}
