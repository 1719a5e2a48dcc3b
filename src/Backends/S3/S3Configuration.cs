using Amazon.Runtime;
using Amazon.S3;

namespace Gateway.Backends.S3;

/// <summary>The store's options in the SDK's terms.</summary>
internal static class S3Configuration
{
    /// <summary>Body bytes in one write to the connection.</summary>
    private const int BufferBytes = 256 << 10;

    public static AmazonS3Config For(S3StoreOptions options)
    {
        var config = new AmazonS3Config
        {
            ForcePathStyle = options.ForcePathStyle ?? options.Endpoint is not null,
            // Retries are the caller's: one inside would turn our own success, its answer lost, into PreconditionFailed unseen.
            MaxErrorRetry = 0,
            MaxStaleConnectionRetries = 0,
            // The SDK's default, a CRC in a trailer, is refused by older stores with 400.
            RequestChecksumCalculation = RequestChecksumCalculation.WHEN_REQUIRED,
            ResponseChecksumValidation = ResponseChecksumValidation.WHEN_REQUIRED,
            Timeout = Timeout.InfiniteTimeSpan,
            BufferSize = BufferBytes,
            DisableLogging = true,
            LogMetrics = false,
            EndpointDiscoveryEnabled = false,
        };
        if (options.Endpoint is { } endpoint)
        {
            config.ServiceURL = endpoint.GetLeftPart(UriPartial.Authority);
            config.AuthenticationRegion = options.Region;
        }
        else
        {
            config.RegionEndpoint = Amazon.RegionEndpoint.GetBySystemName(options.Region);
        }

        return config;
    }
}
