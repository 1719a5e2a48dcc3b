using System.ComponentModel.DataAnnotations;
using System.Text.Json;
using Gateway.Backends.File;
using Gateway.Backends.Grpc;
using Gateway.Backends.Rados;
using Gateway.Backends.S3;

namespace Gateway.Configuration;

/// <summary>One store. The settings are those of its type; the others stay away.</summary>
internal sealed record StoreSection
{
    private const string PoolElsewhere = "pool: this belongs to a store of type \"rados\"";

    /// <summary>What kind of store it is; the settings that begin with another kind stay away.</summary>
    [AllowedValues("file", "s3", "grpc", "rados")]
    public string Type { get; set; } = "";

    /// <summary>file: the directory, absolute; it must exist, on a disk that honours fsync.</summary>
    public string? Path { get; set; }

    /// <summary>s3: http(s)://host[:port]; none for Amazon S3.</summary>
    public Uri? Endpoint { get; set; }

    /// <summary>s3: default us-east-1.</summary>
    public string? Region { get; set; }

    /// <summary>s3: the bucket; it must exist.</summary>
    public string? Bucket { get; set; }

    /// <summary>s3: put before every key. Default none.</summary>
    public string? Prefix { get; set; }

    /// <summary>s3: bucket in the path instead of in the host name. Default: yes with an endpoint.</summary>
    public bool? ForcePathStyle { get; set; }

    /// <summary>s3: a profile of the credentials file.</summary>
    public string? Profile { get; set; }

    /// <summary>s3: a file in the format of ~/.aws/credentials.</summary>
    public string? CredentialsFile { get; set; }

    /// <summary>s3: access key id; with secretAccessKeyFile.</summary>
    public string? AccessKeyId { get; set; }

    /// <summary>s3: a file that holds the secret access key and nothing else.</summary>
    public string? SecretAccessKeyFile { get; set; }

    /// <summary>s3: sign the hash of every body, for http over a network that is not trusted. Default false.</summary>
    public bool? SignPayload { get; set; }

    /// <summary>grpc: http(s)://host[:port] or unix:///path of a blob server.</summary>
    public string? Address { get; set; }

    /// <summary>grpc: a PEM file of the authorities that the server's certificate must come from. Default: those that this machine trusts.</summary>
    public string? CaFile { get; set; }

    /// <summary>grpc: this client's certificate (PEM); with clientKeyFile.</summary>
    public string? ClientCertificateFile { get; set; }

    /// <summary>grpc: its private key (PEM).</summary>
    public string? ClientKeyFile { get; set; }

    /// <summary>grpc: a file that holds the bearer token and nothing else.</summary>
    public string? TokenFile { get; set; }

    /// <summary>rados: the pool; it must exist.</summary>
    public string? Pool { get; set; }

    /// <summary>rados: the namespace in the pool. Default: the pool's own.</summary>
    public string? Namespace { get; set; }

    /// <summary>rados: a replicated pool for the index, where the pool is erasure-coded. Default: the pool.</summary>
    public string? IndexPool { get; set; }

    /// <summary>rados: the user without "client.". Default admin.</summary>
    public string? User { get; set; }

    /// <summary>rados: the cluster's configuration file. Default /etc/ceph/ceph.conf, unless monitors are given.</summary>
    public string? ConfigurationFile { get; set; }

    /// <summary>rados: the monitors' addresses, separated by commas. Default: those of the configuration file.</summary>
    public string? Monitors { get; set; }

    /// <summary>rados: a keyring with the user's key. Default: where the configuration file says.</summary>
    public string? KeyringFile { get; set; }

    /// <summary>s3, grpc, rados: seconds for one request. Default 20.</summary>
    public double? RequestTimeoutSeconds { get; set; }

    /// <summary>How requests are limited, repeated, and stopped while the store is away. Any type of store.</summary>
    public ResilienceSection Resilience { get; set; } = new();

    public FileStoreOptions ToFileOptions() => new() { Path = Path ?? "" };

    public S3StoreOptions ToS3Options()
    {
        var options = new S3StoreOptions
        {
            Endpoint = Endpoint,
            Bucket = Bucket ?? "",
            Prefix = Prefix ?? "",
            ForcePathStyle = ForcePathStyle,
            Profile = Profile,
            CredentialsFile = CredentialsFile,
            AccessKeyId = AccessKeyId,
            SecretAccessKeyFile = SecretAccessKeyFile,
        };
        // Requests that have their turn must not wait for a connection: their time runs.
        options.MaxConnections = Math.Clamp(Resilience.ForegroundRequests + Resilience.BackgroundRequests, options.MaxConnections, 10_000);
        if (Region is not null) options.Region = Region;
        if (SignPayload is { } sign) options.SignPayload = sign;
        if (RequestTimeoutSeconds is { } seconds) options.RequestTimeout = TimeSpan.FromSeconds(seconds);
        return options;
    }

    public GrpcStoreOptions ToGrpcOptions()
    {
        var options = new GrpcStoreOptions
        {
            Address = Address ?? "",
            CaFile = CaFile,
            ClientCertificateFile = ClientCertificateFile,
            ClientKeyFile = ClientKeyFile,
            TokenFile = TokenFile,
        };
        if (RequestTimeoutSeconds is { } seconds) options.RequestTimeout = Seconds(seconds);
        return options;
    }

    public RadosStoreOptions ToRadosOptions()
    {
        var options = new RadosStoreOptions
        {
            Pool = Pool ?? "",
            Namespace = Namespace ?? "",
            IndexPool = IndexPool,
            ConfigurationFile = ConfigurationFile,
            Monitors = Monitors,
            KeyringFile = KeyringFile,
        };
        if (User is not null) options.User = User;
        if (RequestTimeoutSeconds is { } seconds) options.RequestTimeout = Seconds(seconds);
        return options;
    }

    public IEnumerable<string> Faults()
    {
        switch (Type)
        {
            case "file":
                if (Pool is not null) yield return PoolElsewhere;
                if (Path is null || !System.IO.Path.IsPathRooted(Path)) yield return "path: a file store needs an absolute path";
                if (Address is not null) yield return "address: this belongs to a store of type \"grpc\"";
                if (Bucket is not null || Endpoint is not null) yield return "bucket, endpoint: these belong to a store of type \"s3\"";
                break;
            case "s3":
                if (Pool is not null) yield return PoolElsewhere;
                if (string.IsNullOrEmpty(Bucket)) yield return "bucket: an s3 store needs a bucket";
                if (Path is not null) yield return "path: this belongs to a store of type \"file\"";
                if (Address is not null) yield return "address: this belongs to a store of type \"grpc\"";
                foreach (var fault in ToS3Options().Validate(new ValidationContext(this, "store", null, null))) yield return $"{string.Join(", ", fault.MemberNames.Select(JsonNamingPolicy.CamelCase.ConvertName))}: {fault.ErrorMessage}";
                break;
            case "grpc":
                if (Pool is not null) yield return PoolElsewhere;
                if (Path is not null || Bucket is not null || Endpoint is not null) yield return "path, bucket, endpoint: these belong to stores of other types; a grpc store has an address";
                foreach (var fault in ToGrpcOptions().Validate(new ValidationContext(this, "store", null, null))) yield return $"{string.Join(", ", fault.MemberNames.Select(NameOf))}: {fault.ErrorMessage}";
                break;
            case "rados":
                if (Path is not null || Bucket is not null || Endpoint is not null || Address is not null) yield return "path, bucket, endpoint, address: these belong to stores of other types; a rados store has a pool";
                foreach (var fault in ToRadosOptions().Validate(new ValidationContext(this, "store", null, null))) yield return $"{string.Join(", ", fault.MemberNames.Select(NameOf))}: {fault.ErrorMessage}";
                break;
            default:
                yield return $"type: '{Type}' is no type of store; use \"file\", \"s3\", \"grpc\" or \"rados\"";
                break;
        }

        foreach (var fault in Resilience.Faults()) yield return $"resilience.{fault}";
    }

    /// <summary>Kept within what a duration can hold; all of that is far out of every range.</summary>
    private static TimeSpan Seconds(double seconds) => TimeSpan.FromSeconds(Math.Clamp(seconds, -1, 1e6));

    /// <summary>The setting behind an option: durations are in seconds, and say so.</summary>
    private static string NameOf(string option) => JsonNamingPolicy.CamelCase.ConvertName(option) + (option == nameof(GrpcStoreOptions.RequestTimeout) ? "Seconds" : "");
}
