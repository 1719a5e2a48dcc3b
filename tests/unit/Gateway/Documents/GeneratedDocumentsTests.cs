using Xunit;

namespace Gateway.Tests.Documents;

/// <summary>What is made of the program and kept in docs/ is what the program is now. 'make docs' makes it anew.</summary>
public sealed class GeneratedDocumentsTests
{
    private static readonly Dictionary<string, Func<string>> Makers = new()
    {
        ["docs/gateway.schema.json"] = () => ConfigurationSchema.Text,
        ["docs/man/tcmu-gateway.8"] = () => CommandManual.Text,
        ["docs/man/tcmu-gateway.json.5"] = () => ConfigurationManual.Text,
    };

    [Theory]
    [InlineData("docs/gateway.schema.json")]
    [InlineData("docs/man/tcmu-gateway.8")]
    [InlineData("docs/man/tcmu-gateway.json.5")]
    public async Task Document_KeptInTheRepository_IsWhatTheProgramSaysNow(string document)
    {
        var path = Path.Combine(Root, document);
        var made = Makers[document]();
        if (Environment.GetEnvironmentVariable("UPDATE_DOCS") == "1")
        {
            Directory.CreateDirectory(Path.GetDirectoryName(path)!);
            await File.WriteAllTextAsync(path, made);
        }

        Assert.True(made == await File.ReadAllTextAsync(path), $"{document} is older than the program: run 'make docs' and commit what it changed.");
    }

    public static string Root { get; } = FindRoot();

    private static string FindRoot()
    {
        for (var folder = new DirectoryInfo(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
            if (File.Exists(Path.Combine(folder.FullName, "Gateway.sln"))) return folder.FullName;
        throw new InvalidOperationException("Gateway.sln is not above the tests.");
    }
}
