namespace Gateway.Integration.Tests;

/// <summary>Where the source tree, its scripts and the native executable are.</summary>
internal static class Repository
{
    public static string Root { get; } = FindRoot();

    /// <summary>The executable that <c>make publish</c> made.</summary>
    public static string Gateway { get; } = Directory.Exists(PublishFolder)
        ? Directory.EnumerateFiles(PublishFolder, "tcmu-gateway", SearchOption.AllDirectories).FirstOrDefault() ?? ""
        : "";

    private static string PublishFolder => Path.Combine(Root, "artifacts", "publish", "Gateway");

    public static string PathOf(params string[] parts) => Path.Combine([Root, .. parts]);

    private static string FindRoot()
    {
        for (var folder = new DirectoryInfo(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
            if (File.Exists(Path.Combine(folder.FullName, "Gateway.sln"))) return folder.FullName;
        throw new InvalidOperationException("Gateway.sln is not above the tests.");
    }
}
