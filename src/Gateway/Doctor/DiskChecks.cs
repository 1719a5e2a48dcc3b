using System.Globalization;
using Gateway.Cli;
using Gateway.Configuration;
using Gateway.Volumes;
using Gateway.Volumes.Interop;

namespace Gateway.Doctor;

/// <summary>Times of flushes in a directory; see <see cref="FlushProbe"/>.</summary>
internal delegate Task<IReadOnlyList<TimeSpan>> MeasureFlushes(string directory, CancellationToken cancellationToken);

/// <summary>Local disks: what a flush costs where journals are, the kind of file system, free space for journals, cache files, state and stores that are directories.</summary>
/// <param name="host">Where to look.</param>
/// <param name="configuration">Which directories; null: the defaults.</param>
/// <param name="measure">Measures flushes.</param>
internal sealed class DiskChecks(Host host, GatewayConfiguration? configuration, MeasureFlushes measure) : ICheckFamily
{
    /// <summary>The fastest disk with a protected cache takes longer for a write and a flush.</summary>
    private static readonly TimeSpan FlushMin = TimeSpan.FromMicroseconds(10);

    private static readonly TimeSpan FlushGood = TimeSpan.FromMilliseconds(3);
    private static readonly TimeSpan FlushSlow = TimeSpan.FromMilliseconds(15);
    private static readonly TimeSpan FlushStalls = TimeSpan.FromMilliseconds(200);
    private const long StateWantedBytes = 64L << 20;
    private const long StoreWantedBytes = 1L << 30;

    public string Name => "disk";

    public async Task<IReadOnlyList<Finding>> RunAsync(CancellationToken cancellationToken)
    {
        var found = new Findings(Name);
        var settings = configuration ?? new GatewayConfiguration();
        if (settings.Journal.Directory is { } journal) await JournalAsync(found, journal, settings.Journal, cancellationToken);
        else found.Note("journal", "none (journal.directory is null): every flush waits for the bucket", "For flushes that take milliseconds set journal.directory to one on a local disk.");
        if (settings.Volumes.CacheFileBytes > 0) Space(found, "cache files", settings.Volumes.CacheDirectory, settings.Volumes.CacheFileBytes, "volumes.cacheDirectory");
        Space(found, "state directory", settings.StateDirectory, StateWantedBytes, "stateDirectory");
        foreach (var (name, store) in settings.Stores.Where(s => s.Value is { Type: "file", Path: not null }).OrderBy(s => s.Key, StringComparer.Ordinal)) Space(found, $"store {name}", store.Path!, StoreWantedBytes, $"stores.{name}.path");
        return found.All;
    }

    private async Task JournalAsync(Findings found, string directory, JournalOptions options, CancellationToken cancellationToken)
    {
        var place = NearestThatExists(directory);
        FileSystemKind(found, directory, place, options);
        Space(found, "journal", directory, options.CapacityBytes, "journal.directory");
        const string Check = "journal flush";
        try
        {
            var took = (await measure(place, cancellationToken)).Order().ToArray();
            Judge(found, Check, took[(took.Length - 1) / 2], took[(int)Math.Ceiling(took.Length * 0.99) - 1], took.Length, place);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            found.NotLooked(Check, $"no file can be made in '{place}' to measure it ({e.Message.TrimEnd('.')})", "Run this as root.");
        }
    }

    private static void Judge(Findings found, string check, TimeSpan half, TimeSpan most, int rounds, string place)
    {
        var text = $"p50 {Time(half)}, p99 {Time(most)} for 4 KiB with fdatasync, {rounds} times in '{place}'";
        if (half < FlushMin)
            found.Warning(check, $"{text}: faster than any disk. Something on the way keeps flushed data in memory, and a power cut may lose it", "Look at the disk's write cache and the virtual machine's cache mode ('none' or 'writethrough', not 'unsafe').");
        else if (half > FlushSlow)
            found.Warning(check, $"{text}: each flush of an initiator waits that long", "Set journal.directory to one on a faster disk (an SSD with power-loss protection), or see what else keeps this one busy ('iostat -x 1').");
        else if (most > FlushStalls)
            found.Warning(check, $"{text}: one in a hundred flushes stalls", "See what else writes to this disk ('iostat -x 1'), or give the journal one of its own.");
        else if (half > FlushGood) found.Note(check, $"{text}: a disk without a protected cache; databases that flush often feel it", "An SSD with power-loss protection takes well below a millisecond.");
        else found.Ok(check, text);
    }

    private void FileSystemKind(Findings found, string directory, string place, JournalOptions options)
    {
        const string Check = "journal file system";
        var kind = KindOf(place) ?? "unknown kind";
        var fault = FileSystem.FindFault(place);
        if (fault is not null && options.AllowUnsafeFileSystem) found.Warning(Check, $"{fault}; journal.allowUnsafeFileSystem accepts it: flushed writes can be lost", "Only for tests: else a directory on a local disk (ext4, XFS, btrfs).");
        else if (fault is not null) found.Fault(Check, $"'{directory}' is on {fault}: volumes are not opened", "Set journal.directory to one on a local disk (ext4, XFS, btrfs).");
        else found.Ok(Check, kind);
    }

    private static void Space(Findings found, string what, string directory, long neededBytes, string setting)
    {
        var check = $"{what} space";
        var place = NearestThatExists(directory);
        try
        {
            var free = new DriveInfo(place).AvailableFreeSpace;
            var text = $"{ByteSize.Format(free)} free in '{directory}'{(place == directory ? "" : " (which is made when it is needed)")}";
            if (free < neededBytes) found.Warning(check, $"{text}; {ByteSize.Format(neededBytes)} are needed for what comes next", $"Make room, or set {setting} to another disk.");
            else found.Ok(check, text);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException)
        {
            found.NotLooked(check, $"'{directory}': {e.Message}", null);
        }
    }

    /// <summary>The directory, or the one that it will be made in.</summary>
    private static string NearestThatExists(string directory)
    {
        while (!Directory.Exists(directory)) directory = Path.GetDirectoryName(directory) ?? "/";
        return directory;
    }

    /// <summary>The type of the file system of a path, as /proc/self/mountinfo has it (proc(5)).</summary>
    private string? KindOf(string path)
    {
        var best = ("", (string?)null);
        foreach (var line in (host.Read(host.Proc("self/mountinfo")) ?? "").Split('\n'))
        {
            var words = line.Split(' ');
            var separator = Array.IndexOf(words, "-");
            if (separator < 5 || separator + 1 >= words.Length) continue;
            var at = words[4];
            var isAbove = at == "/" || path == at || path.StartsWith(at + "/", StringComparison.Ordinal);
            if (isAbove && at.Length >= best.Item1.Length) best = (at, words[separator + 1]); // The last one of a place hides those before.
        }

        return best.Item2;
    }

    private static string Time(TimeSpan time) => time.TotalMilliseconds < 1
        ? string.Create(CultureInfo.InvariantCulture, $"{time.TotalMicroseconds:0} µs") : string.Create(CultureInfo.InvariantCulture, $"{time.TotalMilliseconds:0.0} ms");
}
