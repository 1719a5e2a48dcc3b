using System.CommandLine;
using Gateway.Backends.File;
using Gateway.Configuration;
using Gateway.Targets;
using Gateway.Volumes;

namespace Gateway.Cli.Completion;

/// <summary>
/// Names that shells may complete: of stores, volumes and targets, from the configuration, the gateway's state, and stores that are directories. No other store is asked, and
/// nothing is waited for longer than <see cref="LookMax"/>: completion must not hang on a store that is away. What cannot be read has no names.
/// </summary>
internal static class KnownNames
{
    private static readonly TimeSpan LookMax = TimeSpan.FromMilliseconds(300);

    public static IEnumerable<string> Stores(ParseResult line) => Load(line)?.Stores.Keys.Order(StringComparer.Ordinal) ?? Enumerable.Empty<string>();

    public static IEnumerable<string> Volumes(ParseResult line)
    {
        if (Load(line) is not { } configuration) return [];
        var known = Try(() => StateFile.Read(Path.Combine(configuration.StateDirectory, VolumeFacts.FileName), ExportJson.Default.DictionaryStringVolumeFact))?.Keys;
        return [.. new SortedSet<string>([.. Targets(configuration).Volumes, .. configuration.Volumes.Each.Keys, .. known ?? Enumerable.Empty<string>(), .. InDirectories(configuration)], StringComparer.Ordinal)];
    }

    public static IEnumerable<string> Targets(ParseResult line)
    {
        if (Load(line) is not { } configuration) return [];
        var targets = Targets(configuration);
        return [.. targets.Iscsi.Keys.Concat(targets.Loopback.Keys).Concat(targets.Vhost.Keys).Order(StringComparer.Ordinal)];
    }

    private static TargetsSection Targets(GatewayConfiguration configuration) => Try(() => new ExportBook(configuration.StateDirectory).Merge(configuration.Targets)) ?? configuration.Targets;

    /// <summary>Volumes of the directory stores, as far as they can be listed in time: one may be on a network file system whose server is away.</summary>
    private static string[] InDirectories(GatewayConfiguration configuration)
    {
        var found = new List<string>();
        var look = Task.Run(async () =>
        {
            foreach (var (name, section) in configuration.Stores.Where(s => s.Value.Type == "file"))
            {
                var store = new FileBlobStore(section.ToFileOptions(), TimeProvider.System); // Never disposed of: that would wait for a look that hangs.
                foreach (var volume in await new VolumeCatalog(store, TimeProvider.System).ListAsync(CancellationToken.None))
                    lock (found) found.Add($"{name}/{volume}");
            }
        });
        Try(() => look.WaitAsync(LookMax, TimeProvider.System).ContinueWith(static t => t.IsCompletedSuccessfully, TaskScheduler.Default).GetAwaiter().GetResult() ? "" : null);
        lock (found) return [.. found];
    }

    private static GatewayConfiguration? Load(ParseResult line) => Try(() => GatewayConfiguration.Load(line.GetValue(CommandLine.ConfigOption) ?? GatewayConfiguration.DefaultPath));

    private static T? Try<T>(Func<T?> look)
        where T : class
    {
        try
        {
            return look();
        }
        catch (Exception e) when (e is ConfigurationException or IOException or UnauthorizedAccessException or InvalidOperationException)
        {
            return null; // Completion has nobody to tell.
        }
    }
}
