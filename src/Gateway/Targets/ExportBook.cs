using System.Security.Cryptography;
using System.Text;
using System.Text.Json.Serialization;
using Gateway.Configuration;

namespace Gateway.Targets;

/// <summary>The exports that were added by hand ('target export'), kept beside the configuration file. Thread safe.</summary>
internal sealed class ExportBook
{
    private readonly Lock _gate = new();
    private readonly string _path;
    private readonly string _secrets;
    private TargetsSection _targets;

    /// <exception cref="ConfigurationException">The file is damaged.</exception>
    public ExportBook(string stateDirectory)
    {
        _path = Path.Combine(stateDirectory, "exports.json");
        _secrets = Path.Combine(stateDirectory, "secrets");
        _targets = StateFile.Read(_path, ExportJson.Default.TargetsSection) ?? new TargetsSection();
    }

    /// <summary>What was added. Nobody changes it: a change makes another.</summary>
    public TargetsSection Targets
    {
        get
        {
            lock (_gate) return _targets;
        }
    }

    /// <summary>What is to be exported: the configuration's targets, and those added by hand under other names.</summary>
    public TargetsSection Merge(TargetsSection declared)
    {
        var added = Targets;
        return declared with
        {
            Iscsi = Union(declared.Iscsi, added.Iscsi),
            Loopback = Union(declared.Loopback, added.Loopback),
            Vhost = Union(declared.Vhost, added.Vhost),
        };
    }

    /// <summary>Replaces what was added, on disk first.</summary>
    /// <exception cref="ConfigurationException">It cannot be written; nothing changed.</exception>
    public void Replace(TargetsSection targets)
    {
        lock (_gate)
        {
            StateFile.Write(_path, targets, ExportJson.Default.TargetsSection);
            _targets = targets;
        }
    }

    /// <summary>Keeps a secret in a file of its own, for root alone.</summary>
    /// <param name="purpose">What it is for: the same purpose has the same file.</param>
    /// <param name="secret">The secret.</param>
    /// <returns>The file.</returns>
    /// <exception cref="ConfigurationException">It cannot be written.</exception>
    public string KeepSecret(string purpose, string secret)
    {
        // Never written over: whoever goes back to what was before needs the old one.
        var name = Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes($"{purpose}\n{secret}")))[..32];
        var path = Path.Combine(_secrets, name);
        StateFile.WriteBytes(path, Encoding.UTF8.GetBytes(secret));
        return path;
    }

    /// <summary>Removes secrets that nothing refers to any more.</summary>
    public void SweepSecrets()
    {
        var used = Targets.Chaps.Select(c => c.Chap.SecretFile).ToHashSet(StringComparer.Ordinal);
        try
        {
            if (!Directory.Exists(_secrets)) return;
            foreach (var file in Directory.EnumerateFiles(_secrets).Where(f => !used.Contains(f)).ToArray()) File.Delete(file);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // It stays, for root alone; the next sweep tries again.
        }
    }

    private static Dictionary<string, T> Union<T>(Dictionary<string, T> declared, Dictionary<string, T> added)
    {
        var all = new Dictionary<string, T>(declared, StringComparer.Ordinal);
        foreach (var (name, target) in added) all.TryAdd(name, target);
        return all;
    }
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, WriteIndented = true, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(TargetsSection))]
[JsonSerializable(typeof(Dictionary<string, VolumeFact>))]
internal sealed partial class ExportJson : JsonSerializerContext;
