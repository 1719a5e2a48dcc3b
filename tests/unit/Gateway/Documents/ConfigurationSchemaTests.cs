using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Gateway.Cli;
using Gateway.Configuration;
using Json.Schema;
using Xunit;

namespace Gateway.Tests.Documents;

/// <summary>The published schema says of a configuration what the gateway says of it.</summary>
public sealed partial class ConfigurationSchemaTests
{
    private static readonly JsonSchema Schema = JsonSchema.FromText(File.ReadAllText(Path.Combine(GeneratedDocumentsTests.Root, "docs/gateway.schema.json")));
    private static readonly JsonDocumentOptions Lenient = new() { CommentHandling = JsonCommentHandling.Skip, AllowTrailingCommas = true };

    /// <summary>Every setting that has a range or a choice, in a configuration that is valid.</summary>
    private const string Full = """
        {
          "$schema": "gateway.schema.json",
          "stores": {
            "s": { "type": "file", "path": "/srv", "resilience": { "retryDelayMinSeconds": 0.001, "retryDelayMaxSeconds": 60, "hedgePercentile": 95 } },
            "c": { "type": "s3", "bucket": "b", "resilience": { "retryDelayMinSeconds": 0.001, "retryDelayMaxSeconds": 60 } },
            "g": { "type": "grpc", "address": "https://storage:7070", "resilience": { "retryDelayMinSeconds": 0.001, "retryDelayMaxSeconds": 60 } }
          },
          "journal": {}, "control": {},
          "volumes": { "each": { "s/v": { "size": "1GiB", "blockSize": 512, "compression": "zstd", "longOutageSeconds": 60, "durability": "bucket", "onLongOutage": "fail", "takeover": "never", "leaseSeconds": 0 } } },
          "targets": {
            "discovery": {},
            "iscsi": { "iqn.2025-01.org.example:t": { "luns": [ { "volume": "s/v", "lun": 0 } ], "initiators": { "iqn.2025-01.org.example:i": { "chap": { "user": "u", "secretFile": "/s" } } } } },
            "loopback": { "l": { "luns": [ { "volume": "s/v", "lun": 1 } ] } }, "vhost": {}
          }
        }
        """;

    public static TheoryData<string> Examples
    {
        get
        {
            var found = new TheoryData<string>();
            foreach (var text in Documented().Where(t => !t.Contains("buckett", StringComparison.Ordinal))) found.Add(text);
            return found;
        }
    }

    [Theory, MemberData(nameof(Examples))]
    public void Schema_ExampleOfTheDocuments_IsValidAsTheGatewayHasIt(string text) => Assert.Equal((true, true), Judge(text));

    [Fact]
    public void Examples_OfTheDocuments_AreFound() => Assert.True(Documented().Count() >= 5);

    /// <summary>A mistake that getting-started.md makes on purpose.</summary>
    [Fact]
    public void Schema_MistakeOfTheDocuments_IsRefusedAsByTheGateway() => Assert.Equal((false, false), Judge(Assert.Single(Documented(), t => t.Contains("buckett", StringComparison.Ordinal))));

    [Fact]
    public void Schema_OfTheManual_HoldsForItsExample() => Assert.Equal((true, true), Judge(ConfigurationManual.Example));

    [Fact]
    public void Schema_FullConfiguration_IsValid() => Assert.Equal((true, true), Judge(Full));

    [Theory]
    [InlineData("""{ }""")]
    [InlineData("""[ ]""")]
    [InlineData("""{ "stores": { } }""")]
    [InlineData("""{ "stores": { "cloud": { "type": "s3", "buckett": "my-disks" } } }""")]
    [InlineData("""{ "stores": { "cloud": { "type": "s3" } } }""")]
    [InlineData("""{ "stores": { "cloud": { "type": "tape", "path": "/srv" } } }""")]
    [InlineData("""{ "stores": { "local": { "path": "/srv" } } }""")]
    [InlineData("""{ "stores": { "Local": { "type": "file", "path": "/srv" } } }""")]
    [InlineData("""{ "stores": { "local": { "type": "file", "path": "srv" } } }""")]
    [InlineData("""{ "stores": { "local": { "type": "file", "path": "/srv" } }, "stateDirectory": "state" }""")]
    [InlineData("""{ "stores": { "local": { "type": "file", "path": "/srv" } }, "journal": null }""")]
    [InlineData("""{ "stores": { "local": { "type": "file", "path": "/srv" } }, "volumes": { "leaseSeconds": 5 } }""")]
    [InlineData("""{ "stores": { "local": { "type": "file", "path": "/srv" } }, "volumes": { "cacheFileBytes": 5 } }""")]
    [InlineData("""{ "stores": { "local": { "type": "file", "path": "/srv" } }, "volumes": { "durability": "disk" } }""")]
    [InlineData("""{ "stores": { "local": { "type": "file", "path": "/srv" } }, "volumes": { "each": { "disk1": { } } } }""")]
    [InlineData("""{ "stores": { "local": { "type": "file", "path": "/srv" } }, "volumes": { "each": { "local/d": { "blockSize": 512 } } } }""")]
    [InlineData("""{ "stores": { "local": { "type": "file", "path": "/srv" } }, "volumes": { "each": { "local/d": { "size": "large" } } } }""")]
    [InlineData("""{ "stores": { "local": { "type": "file", "path": "/srv" } }, "targets": { "loopback": { "l": { "luns": [] } } } }""")]
    [InlineData("""{ "stores": { "local": { "type": "file", "path": "/srv" } }, "targets": { "loopback": { "l": { } } } }""")]
    [InlineData("""{ "stores": { "local": { "type": "file", "path": "/srv" } }, "targets": { "discovery": { "chap": { "user": "u" } } } }""")]
    [InlineData("""{ "stores": { "local": { "type": "file", "path": "/srv" } }, "targets": { "discovery": { "chap": { "user": "u", "secretFile": "/s", "secretEnv": "S" } } } }""")]
    public void Schema_WrongConfiguration_IsRefusedAsByTheGateway(string text) => Assert.Equal((false, false), Judge(text));

    /// <summary>At and past the ends of each range, and for each choice, both say the same: the attributes that the schema is made of are those that hold.</summary>
    [Fact]
    public void Schema_EveryRangeAndChoice_EndsWhereTheReadersDoes()
    {
        var schema = JsonNode.Parse(File.ReadAllText(Path.Combine(GeneratedDocumentsTests.Root, "docs/gateway.schema.json")))!.AsObject();
        var (tried, differences) = (0, new List<string>());
        Walk(schema, []);

        Assert.True(differences.Count == 0, string.Join('\n', differences));
        Assert.True(tried > 150, $"Only {tried} values were tried.");

        void Walk(JsonObject node, string[] path)
        {
            foreach (var (name, child) in node["properties"]?.AsObject() ?? []) Visit(child!.AsObject(), [.. path, name]);
            if (node["additionalProperties"] is JsonObject each && At(path) is JsonObject members)
                foreach (var key in members.Select(m => m.Key).ToArray()) Visit(each, [.. path, key]);
            if (node["items"] is JsonObject item && At(path) is JsonArray { Count: > 0 }) Visit(item, [.. path, "0"]);
        }

        void Visit(JsonObject node, string[] path)
        {
            if (path is ["$schema"]) return;
            foreach (var value in Values(node))
            {
                tried++;
                var text = With(path, value).ToJsonString();
                if (Judge(text) is var (schemaSays, readerSays) && schemaSays != readerSays) differences.Add($"{string.Join('.', path)} = {value?.ToJsonString() ?? "null"}: the schema says {schemaSays}, the reader {readerSays}");
            }

            Walk(node, path);
        }
    }

    [Fact]
    public async Task Schema_Printed_IsThatOfTheRepository()
    {
        var output = new StringWriter();

        Assert.Equal(0, await CommandLine.Build().Parse(["config", "schema"]).InvokeAsync(new System.CommandLine.InvocationConfiguration { Output = output }));

        Assert.Equal(await File.ReadAllTextAsync(Path.Combine(GeneratedDocumentsTests.Root, "docs/gateway.schema.json")), output.ToString());
    }

    private static IEnumerable<JsonNode?> Values(JsonObject setting)
    {
        if (setting["minimum"] is { } least && setting["maximum"] is { } most)
        {
            var (low, high) = (least.GetValue<double>(), most.GetValue<double>());
            var isWhole = setting["type"]!.ToJsonString().Contains("integer", StringComparison.Ordinal);
            var step = isWhole ? 1 : Math.Min(0.0005, low == 0 ? 1 : low / 2);
            foreach (var value in (double[])[low, high, low - step, high + Math.Max(step, high * 1e-9)]) yield return isWhole ? JsonValue.Create((long)value) : JsonValue.Create(value);
        }

        if (setting["enum"] is not null) yield return JsonValue.Create("no-such-choice");
        if (setting["pattern"]?.GetValue<string>() == "^/") yield return JsonValue.Create("relative/path");
        if (setting["additionalProperties"] is JsonValue) yield return new JsonObject { ["noSuchSetting"] = 1 };
        var type = setting["type"]?.ToJsonString() ?? "";
        yield return null;
        if (!type.Contains("boolean", StringComparison.Ordinal)) yield return JsonValue.Create(true);
    }

    private static JsonNode? At(string[] path)
    {
        JsonNode? node = JsonNode.Parse(Full);
        foreach (var step in path) node = node is JsonArray list ? list[0] : node?[step];
        return node;
    }

    private static JsonNode With(string[] path, JsonNode? value)
    {
        var root = JsonNode.Parse(Full)!;
        var node = root;
        foreach (var step in path[..^1])
        {
            if (node is JsonArray list) node = list[0]!;
            else node = node![step] ??= new JsonObject();
        }

        if (node is JsonArray items) items[0] = value;
        else node![path[^1]] = value;
        return root;
    }

    private static (bool Schema, bool Reader) Judge(string text)
    {
        var reader = true;
        try
        {
            ConfigurationReader.Parse(Encoding.UTF8.GetBytes(text), "it", new Dictionary<string, string>());
        }
        catch (ConfigurationException)
        {
            reader = false;
        }

        return (Schema.Evaluate(JsonNode.Parse(text, documentOptions: Lenient)).IsValid, reader);
    }

    private static IEnumerable<string> Documented() => Directory.EnumerateFiles(Path.Combine(GeneratedDocumentsTests.Root, "docs"), "*.md")
        .Append(Path.Combine(GeneratedDocumentsTests.Root, "README.md")).Order(StringComparer.Ordinal).SelectMany(file => ExamplesOf(File.ReadAllText(file)));

    private static IEnumerable<string> ExamplesOf(string document)
    {
        foreach (Match block in Block().Matches(document))
            if (block.Groups[1].Value.Contains("\"stores\"", StringComparison.Ordinal) && block.Groups[1].Value.TrimStart().StartsWith('{')) yield return block.Groups[1].Value;
        foreach (Match here in HereDocument().Matches(document)) yield return Prompt().Replace(here.Groups[1].Value, "");
    }

    [GeneratedRegex("```json\n(.*?)```", RegexOptions.Singleline)]
    private static partial Regex Block();

    [GeneratedRegex(@"gateway\.json << 'EOT'\n(.*?)^(?:> )?EOT$", RegexOptions.Singleline | RegexOptions.Multiline)]
    private static partial Regex HereDocument();

    [GeneratedRegex("^> ", RegexOptions.Multiline)]
    private static partial Regex Prompt();
}
