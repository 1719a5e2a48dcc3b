using System.Text.Json.Nodes;

namespace Gateway.Tests.Documents;

/// <summary>Makes docs/man/tcmu-gateway.json.5 of the configuration's schema.</summary>
internal static class ConfigurationManual
{
    public static string Text
    {
        get
        {
            var schema = JsonNode.Parse(ConfigurationSchema.Text)!.AsObject();
            var page = new Roff("tcmu-gateway.json", 5, "File Formats");
            page.Section("NAME").Text("tcmu-gateway.json - configuration of tcmu-gateway(8)");
            page.Section("DESCRIPTION")
                .Paragraph("/etc/tcmu-gateway/gateway.json, or the file named by --config or TCMU_GATEWAY_CONFIG. It is one JSON object, in UTF-8; comments (// and /* */) and trailing commas are allowed, settings that do not exist are refused, and all faults are told together: 'tcmu-gateway config check'. 'tcmu-gateway config show' prints what holds, and 'tcmu-gateway config schema' a JSON schema for editors, which \"$schema\" may name.")
                .Paragraph("Secrets are never in it: they are in files that it names, in the environment, or where the AWS SDK looks for them.");
            page.Section("ENVIRONMENT")
                .Paragraph("A variable TCMU_GATEWAY__A__B__C holds before the setting a.b.c. Its parts are compared without regard to case; what is not a letter or digit in a name is _ there: TCMU_GATEWAY__STORES__CLOUD_EU__BUCKET is stores.cloud-eu.bucket. Lists and objects are given as JSON.");
            page.Section("CHANGES")
                .Paragraph("The gateway notices a changed file within seconds, or at once by SIGHUP or 'tcmu-gateway reload'. targets, volumes.each.*.size, new stores, the resilience of stores, onLongOutage and longOutageSeconds hold from then on; the log and 'reload' name what else changed and needs a restart. A file with a fault changes nothing.");
            foreach (var (name, section) in schema["properties"]!.AsObject().Where(p => p.Key != "$schema"))
            {
                page.Section(name.ToUpperInvariant());
                if (section!["properties"] is null && section["additionalProperties"] is not JsonObject) page.Item(name, Meaning(section.AsObject()));
                else Describe(page, section.AsObject(), name);
            }

            page.Section("EXAMPLE")
                .Paragraph("A volume in a bucket, for one initiator:")
                .Example([.. Example.Split('\n')]);
            page.Section("SEE ALSO").Text("tcmu-gateway(8)");
            return page.ToString();
        }
    }

    internal const string Example = """
        {
          "stores": { "cloud": { "type": "s3", "bucket": "my-disks", "region": "eu-central-1" } },
          "volumes": { "each": { "cloud/db": { "size": "100GiB", "blockSize": 4096 } } },
          "targets": {
            "iscsi": {
              "iqn.2025-01.org.example:db": {
                "portals": [ "192.0.2.10" ],
                "luns": [ { "volume": "cloud/db" } ],
                "initiators": { "iqn.1994-05.com.redhat:host1": {} }
              }
            }
          }
        }
        """;

    private static void Describe(Roff page, JsonObject schema, string path)
    {
        if (schema["description"] is { } text) page.Text(text.GetValue<string>());
        Settings(page, schema, path);
    }

    private static void Settings(Roff page, JsonObject schema, string path)
    {
        if (schema["additionalProperties"] is JsonObject each)
        {
            var place = $"{path}.{NameOf(path)}";
            if (each["properties"] is null && each["additionalProperties"] is not JsonObject) return;
            Settings(page, each, place);
            return;
        }

        if (schema["items"] is JsonObject { } item && item["properties"] is not null)
        {
            Settings(page, item, $"{path}[]");
            return;
        }

        foreach (var (name, setting) in schema["properties"]?.AsObject() ?? [])
        {
            var inner = setting!.AsObject();
            page.Item($"{path}.{name}", Meaning(inner));
            if (inner["properties"] is not null || inner["items"] is JsonObject || inner["additionalProperties"] is JsonObject) Settings(page, inner, $"{path}.{name}");
        }
    }

    /// <summary>What stands for a name of the user's choice.</summary>
    private static string NameOf(string path) => path[(path.LastIndexOf('.') + 1)..] switch { "each" => "STORE/VOLUME", "iscsi" or "initiators" => "IQN", "parameters" => "KEY", _ => "NAME" };

    private static string Meaning(JsonObject setting)
    {
        var text = setting["description"]!.GetValue<string>();
        if (setting["enum"] is JsonArray choices) text += $" One of {string.Join(", ", choices.Where(c => c is not null).Select(c => c!.ToJsonString()))}.";
        if (setting["minimum"] is { } least && setting["maximum"] is { } most) text += $" From {least} to {most}.";
        if (setting["default"] is { } value && !text.Contains("Default", StringComparison.Ordinal)) text += $" Default {value.ToJsonString()}.";
        return text;
    }
}
