namespace Gateway.Volumes;

/// <summary>How a volume's data is compressed before it goes to the store. Data that does not shrink is stored as it is in any case.</summary>
public enum VolumeCompression
{
    /// <summary>Not at all.</summary>
    None = 0,

    /// <summary>LZ4: fast.</summary>
    Lz4,

    /// <summary>Zstandard: smaller, at several times the processor time.</summary>
    Zstd,
}

/// <summary>The names of the ways to compress, as the command line and the volume record have them.</summary>
public static class VolumeCompressionNames
{
    public static IReadOnlyList<string> All { get; } = ["lz4", "zstd", "none"];

    public static string NameOf(VolumeCompression compression) => compression switch
    {
        VolumeCompression.Lz4 => "lz4",
        VolumeCompression.Zstd => "zstd",
        _ => "none",
    };

    public static bool TryParse(string name, out VolumeCompression compression)
    {
        compression = name switch
        {
            "lz4" => VolumeCompression.Lz4,
            "zstd" => VolumeCompression.Zstd,
            _ => VolumeCompression.None,
        };
        return All.Contains(name);
    }
}
