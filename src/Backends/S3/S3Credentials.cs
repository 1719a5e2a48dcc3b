using Amazon.Runtime;
using Amazon.Runtime.CredentialManagement;
using Gateway.Backends.Core;

namespace Gateway.Backends.S3;

/// <summary>Where the store's credentials come from.</summary>
internal static class S3Credentials
{
    /// <summary>The credentials that the options name; null leaves the choice to the SDK's own chain.</summary>
    public static AWSCredentials? From(S3StoreOptions options)
    {
        if (options.AccessKeyId is { } id && options.SecretAccessKeyFile is { } file) return new SecretFileCredentials(id, file);
        WebIdentity.Register();
        if (options.Profile is null && options.CredentialsFile is null) return null;

        var name = options.Profile ?? SharedCredentialsFile.DefaultProfileName;
        var chain = new CredentialProfileStoreChain(options.CredentialsFile);
        if (chain.TryGetAWSCredentials(name, out var credentials)) return credentials;
        throw new BlobStoreException(BlobErrorKind.AccessDenied,
            $"There are no credentials for profile '{name}' in {options.CredentialsFile ?? "~/.aws/credentials"}: add them, or name another profile.");
    }

    /// <summary>A key id, with its secret in a file that an operator or Kubernetes may replace while we run.</summary>
    private sealed class SecretFileCredentials(string accessKeyId, string path) : AWSCredentials
    {
        private readonly Lock _lock = new();
        private ImmutableCredentials? _current;
        private DateTime _readFrom;

        public override ImmutableCredentials GetCredentials()
        {
            lock (_lock)
            {
                try
                {
                    var changed = File.GetLastWriteTimeUtc(path);
                    if (_current is not null && changed == _readFrom) return _current;
                    _current = new ImmutableCredentials(accessKeyId, File.ReadAllText(path).Trim(), null);
                    _readFrom = changed;
                    return _current;
                }
                catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException)
                {
                    throw new BlobStoreException(BlobErrorKind.AccessDenied,
                        $"The secret access key cannot be read from {path}: write it there, readable by this process's user. {(e is ArgumentException ? "The file is empty." : e.Message)}");
                }
            }
        }
    }
}
