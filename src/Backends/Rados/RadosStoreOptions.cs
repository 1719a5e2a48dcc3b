using System.ComponentModel.DataAnnotations;

namespace Gateway.Backends.Rados;

/// <summary>A namespace of a pool of a Ceph cluster, and how to reach it.</summary>
/// <remarks>No secret is among them: the key is in the keyring file, which librados reads by itself.</remarks>
public sealed record RadosStoreOptions : IValidatableObject
{
    /// <summary>What Ceph's own tools read if nobody says otherwise.</summary>
    public const string ConfigurationFileDefault = "/etc/ceph/ceph.conf";

    /// <summary>The pool, which must exist. No default.</summary>
    [Required] public string Pool { get; set; } = "";

    /// <summary>The namespace in it, which needs no making. Default empty: the pool's own.</summary>
    public string Namespace { get; set; } = "";

    /// <summary>A replicated pool for the index of names, where <see cref="Pool"/> is erasure-coded and cannot hold one. Default null: <see cref="Pool"/>.</summary>
    public string? IndexPool { get; set; }

    /// <summary>The user without its "client.". Default admin.</summary>
    [Required] public string User { get; set; } = "admin";

    /// <summary>The cluster's configuration file. Default null: <see cref="ConfigurationFileDefault"/>, unless <see cref="Monitors"/> are given.</summary>
    public string? ConfigurationFile { get; set; }

    /// <summary>The monitors' addresses, separated by commas; before what the file says. Default null.</summary>
    public string? Monitors { get; set; }

    /// <summary>The keyring with the user's key; before what the file says. Default null.</summary>
    public string? KeyringFile { get; set; }

    /// <summary>Time for the first answer of a monitor; Ceph counts in whole seconds. Default 5 s.</summary>
    public TimeSpan ConnectTimeout { get; set; } = TimeSpan.FromSeconds(5);

    /// <summary>Time for one request with all its bytes; a stuck one ends as Unavailable. Default 20 s.</summary>
    public TimeSpan RequestTimeout { get; set; } = TimeSpan.FromSeconds(20);

    public IEnumerable<ValidationResult> Validate(ValidationContext validationContext)
    {
        if (Pool.Length == 0) yield return new ValidationResult("a rados store needs a pool", [nameof(Pool)]);
        if (User.Length == 0 || User.StartsWith("client.", StringComparison.Ordinal)) yield return new ValidationResult("is the user's name without \"client.\"", [nameof(User)]);
        foreach (var (value, name) in ((string?, string)[])[(Pool, nameof(Pool)), (Namespace, nameof(Namespace)), (IndexPool, nameof(IndexPool)), (User, nameof(User)), (Monitors, nameof(Monitors))])
            if (value is not null && value.Any(char.IsControl)) yield return new ValidationResult("must not have control characters", [name]);
        foreach (var (path, name) in ((string?, string)[])[(ConfigurationFile, nameof(ConfigurationFile)), (KeyringFile, nameof(KeyringFile))])
            if (path is not null && !Path.IsPathRooted(path)) yield return new ValidationResult("must be an absolute path", [name]);
        if (ConnectTimeout <= TimeSpan.Zero || ConnectTimeout > TimeSpan.FromMinutes(5)) yield return new ValidationResult("must be more than 0 and at most 300", [nameof(ConnectTimeout)]);
        if (RequestTimeout <= TimeSpan.Zero || RequestTimeout > TimeSpan.FromHours(1)) yield return new ValidationResult("must be more than 0 and at most 3600", [nameof(RequestTimeout)]);
    }
}
