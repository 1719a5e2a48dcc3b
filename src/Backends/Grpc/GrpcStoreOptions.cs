using System.ComponentModel.DataAnnotations;

namespace Gateway.Backends.Grpc;

/// <summary>A blob server (proto/blobstore.proto), and how to reach it.</summary>
public sealed record GrpcStoreOptions : IValidatableObject
{
    /// <summary>The most bytes of a blob in one message, by the interface.</summary>
    public const int ChunkMaxBytes = 1 << 20;

    /// <summary>https://host[:port]; http://host[:port], which is neither secret nor safe from changes on the way; or unix:///path. No default.</summary>
    [Required] public string Address { get; set; } = "";

    /// <summary>The certificates (PEM) of the authorities that the server's certificate must come from. Default null: those that this machine trusts.</summary>
    public string? CaFile { get; set; }

    /// <summary>This client's certificate (PEM); read again when it changes. Default null.</summary>
    public string? ClientCertificateFile { get; set; }

    /// <summary>Its private key (PEM, not encrypted). Default null.</summary>
    public string? ClientKeyFile { get; set; }

    /// <summary>A file that holds the bearer token and nothing else; read again when it changes. Default null: no token.</summary>
    public string? TokenFile { get; set; }

    /// <summary>Time for a connection, TLS included. Default 3 s.</summary>
    public TimeSpan ConnectTimeout { get; set; } = TimeSpan.FromSeconds(3);

    /// <summary>Time for one request with all its bytes; a stuck one ends as Unavailable. Default 20 s.</summary>
    public TimeSpan RequestTimeout { get; set; } = TimeSpan.FromSeconds(20);

    /// <summary>Bytes of a blob in one message of a put, 4 KiB to 1 MiB. Default 64 KiB.</summary>
    [Range(4 << 10, ChunkMaxBytes)] public int ChunkBytes { get; set; } = 64 << 10;

    public IEnumerable<ValidationResult> Validate(ValidationContext validationContext)
    {
        var address = GrpcAddress.TryParse(Address);
        if (address is null) yield return new ValidationResult($"must be {GrpcAddress.Syntax}, with nothing after it and no credentials in it", [nameof(Address)]);
        if (ClientCertificateFile is null != ClientKeyFile is null)
            yield return new ValidationResult("need each other", [nameof(ClientCertificateFile), nameof(ClientKeyFile)]);
        if (address is { IsTls: false } && (CaFile ?? ClientCertificateFile) is not null)
            yield return new ValidationResult("belong to an https:// address; without TLS there are no certificates", [nameof(CaFile), nameof(ClientCertificateFile)]);
        foreach (var (path, name) in ((string?, string)[])[(CaFile, nameof(CaFile)), (ClientCertificateFile, nameof(ClientCertificateFile)), (ClientKeyFile, nameof(ClientKeyFile)), (TokenFile, nameof(TokenFile))])
            if (path is not null && !Path.IsPathRooted(path)) yield return new ValidationResult("must be an absolute path", [name]);
        if (ConnectTimeout <= TimeSpan.Zero || ConnectTimeout > TimeSpan.FromMinutes(5))
            yield return new ValidationResult("must be more than 0 and at most 5 minutes", [nameof(ConnectTimeout)]);
        if (RequestTimeout <= TimeSpan.Zero || RequestTimeout > TimeSpan.FromHours(1))
            yield return new ValidationResult("must be more than 0 and at most 3600", [nameof(RequestTimeout)]);
        if (ChunkBytes is < 4 << 10 or > ChunkMaxBytes)
            yield return new ValidationResult("must be between 4096 (4 KiB) and 1048576 (1 MiB)", [nameof(ChunkBytes)]);
    }
}
