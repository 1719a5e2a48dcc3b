using System.Net.Http.Headers;
using System.Text;
using Amazon.Runtime;
using Gateway.Backends.Core;
using Xunit;

namespace Gateway.Backends.S3.Tests;

/// <summary>Where the data requests go, and what they say.</summary>
public sealed class S3RequestsTests
{
    private static readonly BasicAWSCredentials Keys = new("anId", "aSecret");

    [Theory]
    [InlineData("http://127.0.0.1:9000", null, "us-east-1", "bucket", "http://127.0.0.1:9000/bucket/log/1")]
    [InlineData("https://store.example", false, "x", "bucket", "https://bucket.store.example/log/1")]
    [InlineData("https://[::1]:7480", true, "x", "bucket", "https://[::1]:7480/bucket/log/1")]
    [InlineData(null, null, "eu-west-1", "bucket", "https://bucket.s3.eu-west-1.amazonaws.com/log/1")]
    [InlineData(null, null, "eu-west-1", "my.bucket", "https://s3.eu-west-1.amazonaws.com/my.bucket/log/1")]
    [InlineData(null, true, "cn-north-1", "bucket", "https://s3.cn-north-1.amazonaws.com.cn/bucket/log/1")]
    public async Task Uri_OfEndpointAndBucket_IsWhatTheSdkHas(string? endpoint, bool? pathStyle, string region, string bucket, string expected)
    {
        var options = new S3StoreOptions { Endpoint = endpoint is null ? null : new Uri(endpoint), ForcePathStyle = pathStyle, Region = region, Bucket = bucket };

        using var request = await Make(options, Keys).GetAsync(new("log/1"), 5, 10, CancellationToken.None);

        Assert.Equal(expected, request.RequestUri!.OriginalString);
        Assert.Equal("bytes=5-14", Header(request.Headers, "range"));
        Assert.Contains($"/{region}/s3/aws4_request", Header(request.Headers, "Authorization"), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("a b", "a%20b/")]
    [InlineData("é+~/%2F/../*'()", "%C3%A9%2B~/%252F/../%2A%27%28%29/")]
    [InlineData("x//y/", "x//y/")]
    public async Task Uri_PrefixOfAnyCharacters_IsEscapedAsSignaturesWantIt(string prefix, string expected)
    {
        var options = new S3StoreOptions { Endpoint = new Uri("http://host:1"), Bucket = "bucket", Prefix = prefix };

        using var request = await Make(options, Keys).GetAsync(new("k"), 0, 1, CancellationToken.None);

        Assert.Equal("/bucket/" + expected + "k", request.RequestUri!.AbsolutePath);
    }

    [Theory]
    [InlineData("arn:aws:s3::123456789012:accesspoint/mfzwi23gnjvgw.mrap")]
    [InlineData("bucket--use1-az4--x-s3")]
    public void Bucket_SignedForInAnotherWay_IsRefusedInWords(string bucket)
    {
        var error = Assert.Throws<BlobStoreException>(() => Make(new S3StoreOptions { Bucket = bucket }, Keys));

        Assert.Equal(BlobErrorKind.Rejected, error.Kind);
        Assert.Contains("general purpose bucket", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Bucket_AccessPointOfAnotherRegion_IsSignedForThatRegion()
    {
        var requests = Make(new S3StoreOptions { Bucket = "arn:aws:s3:us-west-2:123456789012:accesspoint/point", Region = "us-west-2" }, Keys);

        using var request = await requests.GetAsync(new("k"), 0, 1, CancellationToken.None);

        Assert.Equal("https://point-123456789012.s3-accesspoint.us-west-2.amazonaws.com/k", request.RequestUri!.OriginalString);
        Assert.Contains("/us-west-2/s3/", Header(request.Headers, "Authorization"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Credentials_Temporary_AreAskedForAtEveryRequestAndTheirTokenIsSigned()
    {
        var requests = Make(new S3StoreOptions { Bucket = "bucket" }, new RenewedCredentials());

        for (var i = 1; i <= 3; i++)
        {
            using var request = await requests.GetAsync(new("k"), 0, 1, CancellationToken.None);

            Assert.Equal($"token{i}", Header(request.Headers, "x-amz-security-token"));
            Assert.Contains($"Credential=id{i}/", Header(request.Headers, "Authorization"), StringComparison.Ordinal);
            Assert.Contains("x-amz-security-token, Signature=", Header(request.Headers, "Authorization"), StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task Credentials_ThatNeverCome_EndWithTheCallersPatience()
    {
        var requests = Make(new S3StoreOptions { Bucket = "bucket" }, new SilentCredentials());
        using var patience = new CancellationTokenSource();

        var request = requests.GetAsync(new("k"), 0, 1, patience.Token).AsTask();
        await patience.CancelAsync();

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => request);
    }

    [Fact]
    public async Task Put_UnsignedPayload_CarriesTheChecksumUnderTheSignature()
    {
        // RFC 3720 B.4 has no text; this is the check value that catalogues of CRCs give for CRC-32C.
        var content = Encoding.ASCII.GetBytes("123456789");
        Assert.Equal(0xE3069283, Crc32C.Compute(content));
        using var body = new ByteArrayContent(content);

        using var request = await Make(new S3StoreOptions { Bucket = "bucket" }, Keys)
            .PutAsync(new("k"), body, null, Crc32C.Compute(content), Precondition.Absent, CancellationToken.None);

        Assert.Equal("4waSgw==", Header(request.Headers, "x-amz-checksum-crc32c"));
        Assert.Equal("UNSIGNED-PAYLOAD", Header(request.Headers, "x-amz-content-sha256"));
        Assert.Contains("SignedHeaders=content-type;host;if-none-match;x-amz-checksum-crc32c;x-amz-content-sha256;x-amz-date,", Header(request.Headers, "Authorization"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Put_SignedPayload_CarriesItsHash()
    {
        using var body = new ByteArrayContent([]);

        using var request = await Make(new S3StoreOptions { Bucket = "bucket" }, Keys)
            .PutAsync(new("k"), body, ReadOnlyMemory<byte>.Empty, null, Precondition.None, CancellationToken.None);

        Assert.Equal(S3Signer.EmptyPayload, Header(request.Headers, "x-amz-content-sha256"));
        Assert.False(request.Headers.Contains("if-none-match"));
    }

    private static S3Requests Make(S3StoreOptions options, AWSCredentials credentials) => new(options, TimeProvider.System, S3Configuration.For(options), credentials);

    private static string Header(HttpRequestHeaders headers, string name) => headers.NonValidated.TryGetValues(name, out var values) ? values.ToString() : "";

    /// <summary>New ones at every call, as temporary ones are when they run out.</summary>
    private sealed class RenewedCredentials : AWSCredentials
    {
        private int _calls;

        public override ImmutableCredentials GetCredentials()
        {
            var call = Interlocked.Increment(ref _calls);
            return new ImmutableCredentials($"id{call}", $"secret{call}", $"token{call}");
        }
    }

    private sealed class SilentCredentials : AWSCredentials
    {
        public override ImmutableCredentials GetCredentials() => throw new NotSupportedException();

        public override Task<ImmutableCredentials> GetCredentialsAsync() => new TaskCompletionSource<ImmutableCredentials>().Task;
    }
}
