using System.ComponentModel.DataAnnotations;
using System.Net;

namespace Gateway.Backends.Grpc.Server;

/// <summary>Where a blob server listens, who may use it, and what it may take up.</summary>
public sealed record BlobServerOptions : IValidatableObject
{
    /// <summary>http(s)://IP:PORT, http(s)://localhost:PORT (port 0: any), or unix:///path. No default.</summary>
    [Required] public string Listen { get; set; } = "";

    /// <summary>The server's certificate (PEM), followed by those between it and its authority; read again when it changes. For https.</summary>
    public string? CertificateFile { get; set; }

    /// <summary>Its private key (PEM, not encrypted).</summary>
    public string? KeyFile { get; set; }

    /// <summary>The certificates (PEM) of the authorities that clients' certificates must come from. Default null: none are asked for.</summary>
    public string? ClientCaFile { get; set; }

    /// <summary>Lines <c>tenant:SHA-256 of the token in hexadecimal digits</c>; read again when it changes. Default null: no tokens.</summary>
    public string? TokensFile { get; set; }

    /// <summary>Allows an address that other machines can reach without TLS, or without knowing who calls. Default no.</summary>
    public bool Insecure { get; set; }

    /// <summary>The longest blob, and range of one, in bytes. Default 128 MiB.</summary>
    public int BlobMaxBytes { get; set; } = 128 << 20;

    /// <summary>Memory for blobs that are being put, in bytes; more puts are told to come again. Default 512 MiB.</summary>
    public long PutMemoryBytes { get; set; } = 512 << 20;

    /// <summary>Memory for ranges that are being read, in bytes; more reads are told to come again. Default 256 MiB.</summary>
    public long GetMemoryBytes { get; set; } = 256 << 20;

    /// <summary>Time for one call, whatever its deadline says: a client that stops in the middle must not keep memory. Default 5 minutes.</summary>
    public TimeSpan CallTimeout { get; set; } = TimeSpan.FromMinutes(5);

    /// <summary>How long a stop waits for calls in progress. Default 10 s.</summary>
    public TimeSpan StopTimeout { get; set; } = TimeSpan.FromSeconds(10);

    public IEnumerable<ValidationResult> Validate(ValidationContext validationContext)
    {
        var address = GrpcAddress.TryParse(Listen);
        if (address is null || (address.Uri is { } uri && !IPAddress.TryParse(uri.IdnHost, out _) && uri.Host != "localhost"))
        {
            yield return new ValidationResult("must be http(s)://IP:PORT, http(s)://localhost:PORT or unix:///PATH; 0.0.0.0 or [::] stand for all of this machine's addresses", [nameof(Listen)]);
            yield break;
        }

        if (CertificateFile is null != KeyFile is null) yield return new ValidationResult("need each other", [nameof(CertificateFile), nameof(KeyFile)]);
        if (address.IsTls && CertificateFile is null) yield return new ValidationResult("are needed for an https:// address", [nameof(CertificateFile), nameof(KeyFile)]);
        if (!address.IsTls && (CertificateFile ?? ClientCaFile) is not null) yield return new ValidationResult("belong to an https:// address", [nameof(CertificateFile), nameof(ClientCaFile)]);
        if (!Insecure && !address.IsLocal && (!address.IsTls || (TokensFile ?? ClientCaFile) is null))
            yield return new ValidationResult("other machines can reach this address: it takes https:// and a way to know clients (tokens, or a client CA), unless it is declared insecure", [nameof(Listen)]);
    }
}
