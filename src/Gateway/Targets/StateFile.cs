using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Gateway.Configuration;

namespace Gateway.Targets;

/// <summary>A small JSON file of the daemon's own that is replaced as a whole, and survives a crash at any point.</summary>
internal static class StateFile
{
    private const UnixFileMode OwnerOnly = UnixFileMode.UserRead | UnixFileMode.UserWrite;

    /// <summary>What it holds; null if there is none.</summary>
    /// <exception cref="ConfigurationException">It cannot be read, or is damaged.</exception>
    public static T? Read<T>(string path, JsonTypeInfo<T> type)
        where T : class
    {
        try
        {
            return JsonSerializer.Deserialize(File.ReadAllBytes(path), type) ?? throw new JsonException("It is empty.");
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            return null;
        }
        catch (Exception e) when (e is JsonException or IOException or UnauthorizedAccessException)
        {
            throw new ConfigurationException($"'{path}' cannot be read: {e.Message} It is the gateway's own: bring it back from a backup, or move it away and export anew what it held.");
        }
    }

    /// <summary>Replaces it.</summary>
    /// <exception cref="ConfigurationException">It cannot be written; what was there is there still.</exception>
    public static void Write<T>(string path, T content, JsonTypeInfo<T> type) => WriteBytes(path, JsonSerializer.SerializeToUtf8Bytes(content, type));

    /// <inheritdoc cref="Write"/>
    public static void WriteBytes(string path, ReadOnlySpan<byte> content)
    {
        var temporary = path + ".new";
        try
        {
            Directory.CreateDirectory(Path.GetDirectoryName(path)!, OwnerOnly | UnixFileMode.UserExecute);
            File.Delete(temporary); // Of one who died here; its mode may be another.
            using (var file = new FileStream(temporary, new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write, UnixCreateMode = OwnerOnly }))
            {
                file.Write(content);
                file.Flush(flushToDisk: true);
            }

            File.Move(temporary, path, overwrite: true);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new ConfigurationException($"'{path}' cannot be written: {e.Message}");
        }
    }
}
