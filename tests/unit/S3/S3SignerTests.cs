using System.Globalization;
using Amazon.Runtime;
using Amazon.Runtime.Internal.Auth;
using Xunit;

namespace Gateway.Backends.S3.Tests;

/// <summary>Our signatures against Amazon's published example, and against those of the SDK.</summary>
public sealed class S3SignerTests
{
    private static readonly DateTimeOffset May2013 = new(2013, 5, 24, 0, 0, 0, TimeSpan.Zero);

    [Fact]
    public void Sign_AmazonsGetObjectExample_HasThePublishedSignature()
    {
        // "Examples: Signature Calculations", Amazon S3 API Reference, "GET Object". The keys are Amazon's, and no one's.
        using var request = new HttpRequestMessage(HttpMethod.Get, "https://examplebucket.s3.amazonaws.com/test.txt");
        var credentials = new ImmutableCredentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", null);

        new S3Signer("us-east-1").Sign(request, [("range", "bytes=0-9")], S3Signer.EmptyPayload, credentials, May2013);

        Assert.Equal(
            "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, SignedHeaders=host;range;x-amz-content-sha256;x-amz-date, "
            + "Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
            Header(request, "Authorization"));
    }

    [Fact]
    public void Sign_ChangingDaysSecretsAndTokens_AgreesWithTheSdk()
    {
        var signer = new S3Signer("eu-central-1");
        (string Id, string Secret, string? Token)[] identities = [("ID1", "one", null), ("ID2", "two", "a/token+of=many=="), ("ID2", "three", "another"), ("ID1", "one", null)];
        foreach (var (id, secret, token) in identities)
            foreach (var days in (int[])[0, 1, 1, 400])
            {
                var now = May2013.AddDays(days).AddHours(13.5);
                var credentials = new ImmutableCredentials(id, secret, token);
                using var request = new HttpRequestMessage(HttpMethod.Put, "http://127.0.0.1:9000/bucket/a%20b/c");
                using var content = new ByteArrayContent([]);
                request.Content = content;

                signer.Sign(request, [("content-type", "text/plain"), ("if-none-match", "*"), ("x-amz-checksum-crc32c", "AAAAAA==")], S3Signer.UnsignedPayload, credentials, now);

                var time = now.UtcDateTime.ToString("yyyyMMdd'T'HHmmss'Z'", CultureInfo.InvariantCulture);
                var names = "content-type;host;if-none-match;x-amz-checksum-crc32c;x-amz-content-sha256;x-amz-date" + (token is null ? "" : ";x-amz-security-token");
                var canonical = "PUT\n/bucket/a%20b/c\n\ncontent-type:text/plain\nhost:127.0.0.1:9000\nif-none-match:*\nx-amz-checksum-crc32c:AAAAAA==\n"
                    + $"x-amz-content-sha256:UNSIGNED-PAYLOAD\nx-amz-date:{time}\n{(token is null ? "" : $"x-amz-security-token:{token}\n")}\n{names}\nUNSIGNED-PAYLOAD";
                var expected = AWS4Signer.ComputeSignature(credentials, "eu-central-1", now.UtcDateTime, "s3", names, canonical);
                Assert.Equal(expected.ForAuthorizationHeader, Header(request, "Authorization"));
                Assert.Equal(time, Header(request, "x-amz-date"));
                Assert.Equal(token, Header(request, "x-amz-security-token"));
                Assert.Equal("*", Header(request, "if-none-match"));
            }
    }

    private static string? Header(HttpRequestMessage request, string name) =>
        request.Headers.NonValidated.TryGetValues(name, out var values) ? values.ToString() : null;
}
