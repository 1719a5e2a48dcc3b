using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization.Metadata;

namespace Gateway.Configuration;

/// <summary>
/// Reads the configuration file as a whole: what the environment says instead is put in its place, every setting is checked on its own, and all
/// faults are told together.
/// </summary>
/// <remarks>
/// An environment variable TCMU_GATEWAY__A__B__C stands for the setting a.b.c. Its parts are compared without regard to case, and what cannot be part of such a
/// name (a '-', '.', '/' or ':') is a '_': TCMU_GATEWAY__STORES__CLOUD_EU__BUCKET is stores.cloud-eu.bucket. Lists and objects are given as JSON.
/// </remarks>
internal static class ConfigurationReader
{
    public const string VariablePrefix = "TCMU_GATEWAY__";

    private const string Separator = "__";

    /// <summary>A file of more than this is none of ours.</summary>
    private const int LengthMaxBytes = 4 << 20;

    private const int DepthMax = 32;

    private static readonly JsonDocumentOptions Syntax = new() { AllowTrailingCommas = true, CommentHandling = JsonCommentHandling.Skip, MaxDepth = DepthMax, AllowDuplicateProperties = false };

    /// <param name="path">The file.</param>
    /// <param name="environment">Variables by name; those that do not begin with <see cref="VariablePrefix"/> are no concern of ours.</param>
    /// <exception cref="ConfigurationException">The file is missing or wrong; the message lists every fault.</exception>
    public static GatewayConfiguration Read(string path, IReadOnlyDictionary<string, string> environment)
    {
        byte[] content;
        try
        {
            // Not by its length: it may be a pipe, and have none.
            using var file = File.OpenRead(path);
            using var copy = new MemoryStream();
            Span<byte> part = stackalloc byte[4 << 10];
            while (file.Read(part) is > 0 and var length)
            {
                copy.Write(part[..length]);
                if (copy.Length > LengthMaxBytes) throw new ConfigurationException($"Configuration file '{path}' has more than {LengthMaxBytes} bytes. Name the right file with --config: this one is none.");
            }

            content = copy.ToArray();
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            throw new ConfigurationException($"There is no configuration file '{path}'. Write one (see 'First volume' in the README), or name another with --config.");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new ConfigurationException($"Configuration file '{path}' cannot be read: {e.Message}");
        }

        return Parse(content, $"Configuration file '{path}'", environment);
    }

    /// <inheritdoc cref="Read"/>
    /// <param name="content">UTF-8.</param>
    /// <param name="name">What the content is, at the beginning of a message.</param>
    public static GatewayConfiguration Parse(ReadOnlySpan<byte> content, string name, IReadOnlyDictionary<string, string> environment)
    {
        if (content.StartsWith("\uFEFF"u8)) content = content["\uFEFF"u8.Length..];
        if (!System.Text.Unicode.Utf8.IsValid(content)) throw new ConfigurationException($"{name} is no text: it must be UTF-8.");
        JsonNode? root;
        try
        {
            root = JsonNode.Parse(content, documentOptions: Syntax);
        }
        catch (JsonException e)
        {
            var place = e.LineNumber is { } line ? $" in line {line + 1}, near column {e.BytePositionInLine + 1}" : "";
            throw new ConfigurationException($"{name} is no valid JSON{place}: {WithoutPlace(e.Message)}");
        }

        if (root is not JsonObject settings) throw new ConfigurationException($"{name} is not valid:\n  - it must be one JSON object: {{ \"stores\": … }}");
        var faults = new List<(string Path, string Fault)>();
        var type = ConfigurationJson.Default.GatewayConfiguration;
        settings.Remove("$schema"); // For editors.
        Override(settings, type, environment, faults);
        Check(settings, type, "", faults);
        var configuration = settings.Deserialize(type) ?? new GatewayConfiguration();
        // What is wrong already may well look as if it were missing.
        var found = faults.Select(f => f.Path).ToArray();
        var all = faults.Select(f => f.Fault).Concat(configuration.Faults().Where(f => !found.Any(p => Concerns(f, p)))).ToArray();
        if (all.Length > 0) throw new ConfigurationException($"{name} is not valid:{string.Concat(all.Select(f => ConfigurationException.FaultMark + f))}");
        return configuration;
    }

    /// <summary>The whole configuration as it holds, defaults and the environment's settings included; what is not set and has no default is left out.</summary>
    public static string Show(GatewayConfiguration configuration)
    {
        var tree = JsonSerializer.SerializeToNode(configuration, ConfigurationJson.Default.GatewayConfiguration)!;
        RemoveNulls(tree);
        using var text = new MemoryStream();
        using (var writer = new Utf8JsonWriter(text, new JsonWriterOptions { Indented = true, Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping })) tree.WriteTo(writer);
        return System.Text.Encoding.UTF8.GetString(text.GetBuffer(), 0, (int)text.Length);
    }

    private static void RemoveNulls(JsonNode node)
    {
        if (node is not JsonObject members)
        {
            foreach (var item in (node as JsonArray ?? []).OfType<JsonNode>()) RemoveNulls(item);
            return;
        }

        foreach (var (name, value) in members.ToArray())
        {
            if (value is null) members.Remove(name);
            else RemoveNulls(value);
        }
    }

    private static bool Concerns(string fault, string path) => fault.StartsWith(path, StringComparison.Ordinal) && (fault.Length == path.Length || fault[path.Length] is '.' or ':' or ',');

    /// <summary>The place is told by us, counted from 1.</summary>
    private static string WithoutPlace(string message)
    {
        var end = message.IndexOf(" LineNumber:", StringComparison.Ordinal);
        return end < 0 ? message : message[..end];
    }

    /// <summary>Puts what the environment says into the tree.</summary>
    private static void Override(JsonObject root, JsonTypeInfo type, IReadOnlyDictionary<string, string> environment, List<(string, string)> faults)
    {
        foreach (var (variable, value) in environment.Where(v => v.Key.StartsWith(VariablePrefix, StringComparison.Ordinal)).OrderBy(v => v.Key, StringComparer.Ordinal))
        {
            var parts = variable[VariablePrefix.Length..].Split(Separator);
            var (node, info) = (root, type);
            for (var i = 0; ; i++)
            {
                var (key, next) = Child(node, info, parts[i]);
                if (key is null || next is null)
                {
                    faults.Add((variable, $"environment variable {variable}: there is no setting '{string.Join('.', parts)}'"));
                    break;
                }

                if (i == parts.Length - 1)
                {
                    node[key] = ToNode(value, next);
                    break;
                }

                if (node[key] is not JsonObject inner)
                {
                    inner = [];
                    node[key] = inner;
                }

                (node, info) = (inner, next);
            }
        }
    }

    /// <summary>The member that a part of a variable's name stands for, and its type; null if there can be none.</summary>
    private static (string? Key, JsonTypeInfo? Type) Child(JsonObject node, JsonTypeInfo type, string part)
    {
        if (part.Length == 0) return (null, null);
        switch (type.Kind)
        {
            case JsonTypeInfoKind.Object:
                var property = type.Properties.FirstOrDefault(p => string.Equals(p.Name, part, StringComparison.OrdinalIgnoreCase));
                return property is null ? (null, null) : (property.Name, TypeOf(property.PropertyType));
            case JsonTypeInfoKind.Dictionary:
                var existing = node.Select(m => m.Key).FirstOrDefault(k => string.Equals(AsVariable(k), part, StringComparison.OrdinalIgnoreCase));
                return (existing ?? part.ToLowerInvariant(), TypeOf(type.ElementType!));
            default:
                return (null, null);
        }
    }

    private static string AsVariable(string key) => string.Create(key.Length, key, static (text, from) =>
    {
        for (var i = 0; i < text.Length; i++) text[i] = char.IsAsciiLetterOrDigit(from[i]) ? from[i] : '_';
    });

    /// <summary>A text where the setting takes one, else what it says as JSON.</summary>
    private static JsonNode? ToNode(string value, JsonTypeInfo type)
    {
        var text = JsonValue.Create(value);
        if (type.Kind == JsonTypeInfoKind.None && IsValid(text, type)) return text;
        try
        {
            return JsonNode.Parse(value, documentOptions: Syntax);
        }
        catch (JsonException)
        {
            return text; // What is wrong with it is found with everything else.
        }
    }

    /// <summary>Notes what is wrong with each setting, and takes it out, so that the rest can be read.</summary>
    private static void Check(JsonNode node, JsonTypeInfo type, string path, List<(string, string)> faults)
    {
        switch (node)
        {
            case JsonObject members when type.Kind == JsonTypeInfoKind.Object:
                foreach (var (name, value) in members.ToArray())
                {
                    var at = path.Length == 0 ? name : $"{path}.{name}";
                    var property = type.Properties.FirstOrDefault(p => p.Name == name);
                    if (property is null)
                    {
                        faults.Add((at, $"{at}: there is no such setting{Suggestion(name, type.Properties.Select(p => p.Name))}"));
                        members.Remove(name);
                    }
                    else if (value is null ? !property.IsSetNullable : !CheckValue(value, TypeOf(property.PropertyType), at, faults))
                    {
                        if (value is null) faults.Add((at, $"{at}: must not be null; leave it out for the default"));
                        members.Remove(name);
                    }
                }

                break;
            case JsonObject members:
                foreach (var (name, value) in members.ToArray())
                {
                    var at = $"{path}.{name}";
                    if (value is not null && CheckValue(value, TypeOf(type.ElementType!), at, faults)) continue;
                    if (value is null) faults.Add((at, $"{at}: must not be null; leave it out"));
                    members.Remove(name);
                }

                break;
            case JsonArray items:
                for (var i = items.Count - 1; i >= 0; i--)
                {
                    var at = $"{path}[{i.ToString(CultureInfo.InvariantCulture)}]";
                    if (items[i] is { } value && CheckValue(value, TypeOf(type.ElementType!), at, faults)) continue;
                    if (items[i] is null) faults.Add((at, $"{at}: must not be null"));
                    items.RemoveAt(i);
                }

                break;
        }
    }

    /// <summary>False, with the fault noted, if a value is of the wrong kind as a whole.</summary>
    private static bool CheckValue(JsonNode value, JsonTypeInfo type, string path, List<(string, string)> faults)
    {
        var wanted = type.Kind switch
        {
            JsonTypeInfoKind.Object or JsonTypeInfoKind.Dictionary => value is JsonObject ? null : "an object: { … }",
            JsonTypeInfoKind.Enumerable => value is JsonArray ? null : "a list: [ … ]",
            _ => IsValid(value, type) ? null : Describe(type.Type),
        };
        if (wanted is not null)
        {
            faults.Add((path, $"{path}: {Shorten(value.ToJsonString())} must be {wanted}"));
            return false;
        }

        if (type.Kind != JsonTypeInfoKind.None) Check(value, type, path, faults);
        return true;
    }

    private static bool IsValid(JsonNode value, JsonTypeInfo type)
    {
        try
        {
            value.Deserialize(type);
            return true;
        }
        catch (Exception e) when (e is JsonException or FormatException or OverflowException or NotSupportedException)
        {
            return false; // NotSupportedException: a value of a kind that no converter of the type takes.
        }
    }

    private static string Describe(Type type)
    {
        type = Nullable.GetUnderlyingType(type) ?? type;
        if (type == typeof(bool)) return "true or false";
        if (type == typeof(int) || type == typeof(long)) return "a whole number";
        if (type == typeof(double)) return "a number";
        if (type == typeof(Uri)) return "an address such as https://host:port";
        if (type.IsEnum) return "one of " + string.Join(", ", Enum.GetNames(type).Select(n => $"\"{JsonNamingPolicy.CamelCase.ConvertName(n)}\""));
        return "a text in quotes";
    }

    private static string Suggestion(string name, IEnumerable<string> known)
    {
        var best = known.MinBy(k => Distance(name, k));
        return best is not null && Distance(name, best) <= Math.Max(2, name.Length / 3) ? $"; do you mean '{best}'?" : "";
    }

    /// <summary>Characters to insert, remove or replace, whatever their case.</summary>
    private static int Distance(string one, string other)
    {
        if (one.Length > 64) return int.MaxValue;
        var row = Enumerable.Range(0, other.Length + 1).ToArray();
        for (var i = 1; i <= one.Length; i++)
        {
            var diagonal = row[0];
            row[0] = i;
            for (var j = 1; j <= other.Length; j++)
            {
                var cost = char.ToLowerInvariant(one[i - 1]) == char.ToLowerInvariant(other[j - 1]) ? 0 : 1;
                (diagonal, row[j]) = (row[j], Math.Min(Math.Min(row[j], row[j - 1]) + 1, diagonal + cost));
            }
        }

        return row[^1];
    }

    private static string Shorten(string text) => text.Length <= 40 ? text : text[..40] + "…";

    private static JsonTypeInfo TypeOf(Type type) => ConfigurationJson.Default.Options.GetTypeInfo(type);
}
