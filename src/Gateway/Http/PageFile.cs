using System.Reflection;
using System.Security.Cryptography;

namespace Gateway.Http;

/// <summary>A file of the page, which is part of the executable.</summary>
/// <param name="ContentType">Of <paramref name="Content"/>.</param>
/// <param name="Content">All of it.</param>
/// <param name="ETag">Another one for another content, in quotes.</param>
internal sealed record PageFile(string ContentType, byte[] Content, string ETag)
{
    /// <summary>The files of the page, by path.</summary>
    public static IReadOnlyList<(string Path, PageFile File)> All { get; } =
    [
        ("/", Load("index.html", "text/html; charset=utf-8")),
        ("/page.css", Load("page.css", "text/css; charset=utf-8")),
        ("/page.js", Load("page.js", "text/javascript; charset=utf-8")),
        ("/charts.js", Load("charts.js", "text/javascript; charset=utf-8")),
        ("/icon.svg", Load("icon.svg", "image/svg+xml")),
    ];

    private static PageFile Load(string name, string contentType)
    {
        using var resource = Assembly.GetExecutingAssembly().GetManifestResourceStream("page/" + name) ?? throw new InvalidOperationException($"The executable was built without its page's {name}.");
        var content = new byte[resource.Length];
        resource.ReadExactly(content);
        return new PageFile(contentType, content, $"\"{Convert.ToHexStringLower(SHA256.HashData(content)[..8])}\"");
    }
}
