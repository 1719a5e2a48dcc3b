using System.Globalization;

namespace Gateway.Backends.S3;

/// <summary>What a partial answer holds. RFC 9110 14.4 Content-Range: "bytes first-last/total".</summary>
internal readonly record struct S3ContentRange(long FirstByte, long LastByte, long TotalBytes)
{
    private const int TextCharsMax = 100;

    public long LengthBytes => LastByte - FirstByte + 1;

    /// <exception cref="Core.BlobStoreException">The header is missing or no such text.</exception>
    public static S3ContentRange Parse(HttpResponseMessage response, string what)
    {
        var header = response.Content.Headers.NonValidated.TryGetValues("Content-Range", out var values) ? values.ToString() : "";
        return TryParse(header, out var range) ? range : throw S3ErrorMapping.NotS3(what, $"Content-Range is '{header[..Math.Min(header.Length, TextCharsMax)]}'");
    }

    public static bool TryParse(ReadOnlySpan<char> text, out S3ContentRange range)
    {
        range = default;
        var dash = text.IndexOf('-');
        var slash = text.IndexOf('/');
        if (!text.StartsWith("bytes ", StringComparison.Ordinal) || dash <= 6 || slash <= dash) return false;
        if (!TryParseNumber(text[6..dash], out var first) || !TryParseNumber(text[(dash + 1)..slash], out var last) || !TryParseNumber(text[(slash + 1)..], out var total)) return false;
        range = new S3ContentRange(first, last, total);
        return true;
    }

    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"bytes {FirstByte}-{LastByte}/{TotalBytes}");

    private static bool TryParseNumber(ReadOnlySpan<char> text, out long value) => long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out value);
}
