using Amazon;
using Amazon.Runtime;
using Amazon.RuntimeDependencies;
using Amazon.SecurityToken;

namespace Gateway.Backends.S3;

/// <summary>
/// Credentials by web identity (AWS_ROLE_ARN, AWS_WEB_IDENTITY_TOKEN_FILE), as Kubernetes' service accounts have them: the SDK's chain finds them, but takes the
/// client that exchanges the token from a package that it looks for by reflection. Here it is told instead.
/// </summary>
internal static class WebIdentity
{
    private static int _isRegistered;

    /// <summary>For the whole process, once. Thread safe.</summary>
    public static void Register()
    {
        if (Interlocked.Exchange(ref _isRegistered, 1) == 0) GlobalRuntimeDependencyRegistry.Instance.RegisterSecurityTokenServiceClient(NewClient);
    }

    private static AmazonSecurityTokenServiceClient NewClient(CreateInstanceContext context)
    {
        var asked = context.SecurityTokenServiceClientContextData;
        var configuration = new AmazonSecurityTokenServiceConfig();
        if (asked.Region is { } region) configuration.RegionEndpoint = region;
        // The exchange of a token is not signed: the token is what proves who asks.
        return asked.Action == SecurityTokenServiceClientContext.ActionContext.AssumeRoleWithWebIdentityCredentials
            ? new AmazonSecurityTokenServiceClient(new AnonymousAWSCredentials(), configuration)
            : new AmazonSecurityTokenServiceClient(configuration);
    }
}
