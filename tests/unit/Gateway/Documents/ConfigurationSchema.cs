using System.ComponentModel.DataAnnotations;
using System.Reflection;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization.Metadata;
using Gateway.Configuration;

namespace Gateway.Tests.Documents;

/// <summary>
/// Makes docs/gateway.schema.json of the types that the configuration is read into: settings and their types as the reader has them, descriptions from the source, defaults from new
/// instances, ranges and choices from attributes. What concerns several settings at once is added here.
/// </summary>
internal sealed class ConfigurationSchema
{
    /// <summary>The names of stores and volumes (VolumeCatalog.IsValidName).</summary>
    private const string NamePattern = "[a-z0-9][a-z0-9._-]{0,62}";

    private readonly DocComments _comments = new([.. Directory.EnumerateFiles(Path.Combine(GeneratedDocumentsTests.Root, "src/Gateway/Configuration"), "*.cs"), Path.Combine(GeneratedDocumentsTests.Root, "src/Volumes/VolumeOptions.cs")]);

    public static string Text => new ConfigurationSchema().Make().ToJsonString(new JsonSerializerOptions { WriteIndented = true, Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping }) + "\n";

    private JsonObject Make()
    {
        var root = new JsonObject
        {
            ["$schema"] = "https://json-schema.org/draft/2020-12/schema",
            ["title"] = "Configuration of tcmu-gateway",
            ["description"] = "/etc/tcmu-gateway/gateway.json: JSON, comments and trailing commas allowed. An environment variable TCMU_GATEWAY__A__B holds before the setting a.b.",
        };
        foreach (var (keyword, value) in OfType(ConfigurationJson.Default.GatewayConfiguration, "").ToArray()) root[keyword] = value?.DeepClone();
        root["properties"]!.AsObject().Insert(0, "$schema", new JsonObject { ["type"] = "string", ["description"] = "This schema, for editors. The gateway does not look at it." });
        root["required"] = new JsonArray("stores");
        return root;
    }

    private JsonObject OfType(JsonTypeInfo type, string path)
    {
        var schema = new JsonObject();
        switch (type.Kind)
        {
            case JsonTypeInfoKind.Object:
                schema["type"] = "object";
                var properties = new JsonObject();
                foreach (var property in type.Properties) properties[property.Name] = OfProperty(property, path.Length == 0 ? property.Name : $"{path}.{property.Name}");
                schema["properties"] = properties;
                schema["additionalProperties"] = false;
                break;
            case JsonTypeInfoKind.Dictionary:
                schema["type"] = "object";
                schema["additionalProperties"] = OfType(TypeOf(type.ElementType!), $"{path}.*");
                break;
            case JsonTypeInfoKind.Enumerable:
                schema["type"] = "array";
                schema["items"] = OfType(TypeOf(type.ElementType!), $"{path}[]");
                break;
            default:
                OfValue(schema, Nullable.GetUnderlyingType(type.Type) ?? type.Type);
                break;
        }

        Together(schema, path);
        return schema;
    }

    private JsonObject OfProperty(JsonPropertyInfo info, string path)
    {
        var property = info.DeclaringType.GetProperty(info.Name, BindingFlags.Public | BindingFlags.Instance | BindingFlags.IgnoreCase)!;
        var schema = new JsonObject { ["description"] = _comments.Of(property) };
        foreach (var (keyword, value) in OfType(TypeOf(info.PropertyType), path).ToArray()) schema[keyword] = value?.DeepClone();
        if (_comments.Of(property).Contains("absolute", StringComparison.Ordinal)) schema["pattern"] = "^/";
        if (property.GetCustomAttribute<RangeAttribute>() is { } range) (schema["minimum"], schema["maximum"]) = (Number(range.Minimum), Number(range.Maximum));
        if (property.GetCustomAttribute<AllowedValuesAttribute>() is { } values) schema["enum"] = new JsonArray([.. values.Values.Select(v => JsonSerializer.SerializeToNode(v))]);
        if (info.IsSetNullable && schema["type"] is JsonValue only)
        {
            schema["type"] = new JsonArray(only.DeepClone(), "null");
            if (schema["enum"] is JsonArray choices) choices.Add(null);
        }

        if (DefaultOf(info) is { } value2) schema["default"] = value2;
        return schema;
    }

    private static void OfValue(JsonObject schema, Type type)
    {
        schema["type"] = type == typeof(bool) ? "boolean" : type == typeof(int) || type == typeof(long) ? "integer" : type == typeof(double) ? "number" : "string";
        if (type == typeof(Uri)) schema["format"] = "uri";
        if (type.IsEnum) schema["enum"] = new JsonArray([.. Enum.GetNames(type).Select(n => (JsonNode)JsonNamingPolicy.CamelCase.ConvertName(n))]);
    }

    /// <summary>What holds between settings, and for names.</summary>
    private static void Together(JsonObject schema, string path)
    {
        switch (path)
        {
            case "stores":
                schema["minProperties"] = 1;
                schema["propertyNames"] = new JsonObject { ["pattern"] = $"^{NamePattern}$" };
                break;
            case "stores.*":
                schema["required"] = new JsonArray("type");
                schema["allOf"] = new JsonArray(IfType("file", "path"), IfType("s3", "bucket"), IfType("grpc", "address"), IfType("rados", "pool"));
                break;
            case "volumes.leaseSeconds" or "volumes.each.*.leaseSeconds":
                schema["anyOf"] = new JsonArray(new JsonObject { ["const"] = 0 }, new JsonObject { ["minimum"] = 10, ["maximum"] = 600 });
                if (path.Contains('*', StringComparison.Ordinal)) schema["anyOf"]!.AsArray().Add(new JsonObject { ["type"] = "null" });
                break;
            case "volumes.cacheFileBytes":
                schema["anyOf"] = new JsonArray(new JsonObject { ["const"] = 0 }, new JsonObject { ["minimum"] = 16L << 20, ["maximum"] = 1L << 40 });
                break;
            case "volumes.each":
                schema["propertyNames"] = new JsonObject { ["pattern"] = $"^{NamePattern}/{NamePattern}$" };
                break;
            case "volumes.each.*":
                schema["dependentSchemas"] = new JsonObject { ["blockSize"] = Given("size"), ["compression"] = Given("size") };
                break;
            case "volumes.each.*.size":
                schema["pattern"] = "^[0-9.]+ *([kKmMgGtT]([iI]?[bB])?|[bB])?$";
                break;
            case "targets.iscsi.*" or "targets.loopback.*" or "targets.vhost.*":
                schema["required"] = new JsonArray("luns");
                break;
            case var list when list.EndsWith(".luns", StringComparison.Ordinal) || list.EndsWith(".portals", StringComparison.Ordinal):
                schema["minItems"] = 1;
                break;
            case var lun when lun.EndsWith(".luns[]", StringComparison.Ordinal):
                schema["required"] = new JsonArray("volume");
                break;
            case var chap when chap.EndsWith("hap", StringComparison.Ordinal):
                schema["required"] = new JsonArray("user");
                schema["oneOf"] = new JsonArray(Given("secretFile"), Given("secretEnv"), new JsonObject { ["type"] = "null" });
                break;
        }
    }

    private static JsonObject IfType(string type, string needed) => new()
    {
        ["if"] = new JsonObject { ["properties"] = new JsonObject { ["type"] = new JsonObject { ["const"] = type } } },
        ["then"] = Given(needed),
    };

    /// <summary>A setting must be there, and not be null.</summary>
    private static JsonObject Given(string setting) => new()
    {
        ["type"] = "object",
        ["required"] = new JsonArray(setting),
        ["properties"] = new JsonObject { [setting] = new JsonObject { ["type"] = "string" } },
    };

    /// <summary>What a setting is if it is left out; null if that is nothing, or more than one value.</summary>
    private static JsonNode? DefaultOf(JsonPropertyInfo info)
    {
        if (TypeOf(info.PropertyType).Kind is JsonTypeInfoKind.Object or JsonTypeInfoKind.Dictionary || info.Get is null) return null;
        var value = JsonSerializer.SerializeToNode(info.Get(Activator.CreateInstance(info.DeclaringType)!), TypeOf(info.PropertyType));
        return value is null or JsonArray { Count: 0 } || (value.GetValueKind() == JsonValueKind.String && value.GetValue<string>().Length == 0) ? null : value;
    }

    private static JsonNode? Number(object bound) => Convert.ToDouble(bound, System.Globalization.CultureInfo.InvariantCulture) is var number && number == Math.Truncate(number) ? (long)number : number;

    private static JsonTypeInfo TypeOf(Type type) => ConfigurationJson.Default.Options.GetTypeInfo(type);
}
