using System.ComponentModel.DataAnnotations;

namespace Gateway.Backends.S3;

/// <summary>A bucket of Amazon S3, or of a store that speaks its protocol.</summary>
/// <remarks>
/// Credentials: <see cref="AccessKeyId"/> with <see cref="SecretAccessKeyFile"/>, or <see cref="Profile"/> (in <see cref="CredentialsFile"/>),
/// or, with none of them set, what the AWS SDK finds: environment variables, the default profile, a web identity token, the instance's role.
/// </remarks>
public sealed record S3StoreOptions : IValidatableObject
{
    /// <summary>http(s)://host[:port] of the store. Default null: Amazon S3 of <see cref="Region"/>.</summary>
    public Uri? Endpoint { get; set; }

    /// <summary>Region, which is also signed for; stores other than AWS mostly ignore it. Default us-east-1.</summary>
    [Required] public string Region { get; set; } = "us-east-1";

    /// <summary>The bucket, which must exist. No default.</summary>
    [Required] public string Bucket { get; set; } = "";

    /// <summary>Put before every key; a '/' is added at its end if it has none. Default empty.</summary>
    public string Prefix { get; set; } = "";

    /// <summary>Bucket in the path (http://host/bucket) instead of in the host name. Default null: yes with an <see cref="Endpoint"/>, no for AWS.</summary>
    public bool? ForcePathStyle { get; set; }

    /// <summary>A profile of the credentials file. Default null.</summary>
    public string? Profile { get; set; }

    /// <summary>A file in the format of ~/.aws/credentials. Default null: that one.</summary>
    public string? CredentialsFile { get; set; }

    /// <summary>Access key id. Default null.</summary>
    public string? AccessKeyId { get; set; }

    /// <summary>A file that holds the secret access key and nothing else; read again when it changes. Default null.</summary>
    public string? SecretAccessKeyFile { get; set; }

    /// <summary>Time for a connection, TLS included. Default 3 s.</summary>
    public TimeSpan ConnectTimeout { get; set; } = TimeSpan.FromSeconds(3);

    /// <summary>Time for one request, its body included; a stuck one ends as Unavailable. Default 20 s.</summary>
    public TimeSpan RequestTimeout { get; set; } = TimeSpan.FromSeconds(20);

    /// <summary>Connections at one time; further requests wait for one, and their <see cref="RequestTimeout"/> runs. Default 64.</summary>
    [Range(1, 10_000)] public int MaxConnections { get; set; } = 64;

    /// <summary>
    /// Sign the SHA-256 of every body that is put, instead of sending its CRC-32C along. Every store checks the hash, not every one the CRC; it costs
    /// 0.6 s of processor time per GB. For http over a network that is not trusted: over https TLS protects the body already. Default false.
    /// </summary>
    public bool SignPayload { get; set; }

    public IEnumerable<ValidationResult> Validate(ValidationContext validationContext)
    {
        if (Endpoint is { } endpoint && (!endpoint.IsAbsoluteUri || endpoint.Scheme is not ("http" or "https") || endpoint.AbsolutePath != "/" || endpoint.Query != "" || endpoint.UserInfo != ""))
            yield return new ValidationResult("Endpoint must be http://host[:port] or https://host[:port], with nothing after it and no credentials in it.", [nameof(Endpoint)]);
        if (Prefix.StartsWith('/')) yield return new ValidationResult("Prefix must not begin with '/'.", [nameof(Prefix)]);
        if (AccessKeyId is null != SecretAccessKeyFile is null)
            yield return new ValidationResult("AccessKeyId and SecretAccessKeyFile need each other.", [nameof(AccessKeyId), nameof(SecretAccessKeyFile)]);
        if (AccessKeyId is not null && (Profile ?? CredentialsFile) is not null)
            yield return new ValidationResult("Give either AccessKeyId or a Profile, not both.", [nameof(AccessKeyId), nameof(Profile)]);
        if (ConnectTimeout <= TimeSpan.Zero || ConnectTimeout > TimeSpan.FromMinutes(5))
            yield return new ValidationResult("ConnectTimeout must be more than 0 and at most 5 minutes.", [nameof(ConnectTimeout)]);
        if (RequestTimeout <= TimeSpan.Zero || RequestTimeout > TimeSpan.FromHours(1))
            yield return new ValidationResult("RequestTimeout must be more than 0 and at most 1 hour.", [nameof(RequestTimeout)]);
    }
}
