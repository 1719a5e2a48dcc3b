using System.Diagnostics;

namespace Gateway.Tests.Shared.Stores;

/// <summary>One Ceph cluster with a RADOS Gateway per test process, started on first use, with a directory of its own and nothing outside it.</summary>
/// <remarks>
/// The script that runs it stops when its standard input ends, so that no way of ending the tests, SIGKILL included, leaves daemons behind.
/// Tests keep apart by a bucket each. The keys are made up and worth nothing.
/// </remarks>
public sealed class RgwServer
{
    /// <summary>Set to 1 where RGW must be there, in CI, say: its absence is then a failure instead of a reason to skip.</summary>
    public const string RequireVariable = "REQUIRE_RGW";

    private static readonly string[] Binaries = ["ceph-mon", "ceph-osd", "monmaptool", "radosgw", "radosgw-admin"];
    private static readonly Lock SharedLock = new();
    private static Task<RgwServer>? _shared;

    private readonly Process _script;
    private readonly Dictionary<string, string> _environment;
    private int _buckets;

    private RgwServer(Process script, Dictionary<string, string> environment)
    {
        _script = script;
        _environment = environment;
        AppDomain.CurrentDomain.ProcessExit += (_, _) => Stop();
    }

    /// <summary>Null if RGW can be run here, or must be; else why not.</summary>
    public static string? SkipReason
    {
        get
        {
            if (Environment.GetEnvironmentVariable(RequireVariable) == "1") return null;
            var path = (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':');
            var missing = Binaries.Where(b => !path.Any(d => File.Exists(Path.Combine(d, b)))).ToArray();
            return missing.Length == 0 ? null : $"no {string.Join(", ", missing)} here: apt-get install ceph-mon ceph-osd radosgw ceph-common python3-rados";
        }
    }

    /// <summary>Its S3 endpoint.</summary>
    public Uri Endpoint => new(_environment["S3_ENDPOINT"]);

    public string AccessKeyId => _environment["AWS_ACCESS_KEY_ID"];

    public string SecretAccessKey => _environment["AWS_SECRET_ACCESS_KEY"];

    /// <summary>Where its state is; the script's commands take it.</summary>
    public string DirectoryPath => _environment["CEPH_MINI_DIR"];

    /// <summary>Of the cluster below, which has a pool named rbd.</summary>
    public string ConfigurationFile => _environment["CEPH_CONF"];

    /// <summary>A file that holds the secret, as the store's options want it.</summary>
    public string SecretFile
    {
        get
        {
            var path = Path.Combine(DirectoryPath, "secret");
            if (!File.Exists(path)) File.WriteAllText(path, SecretAccessKey + "\n");
            return path;
        }
    }

    /// <summary>The server of this test process, on memory only. Never stopped before the process ends.</summary>
    public static Task<RgwServer> SharedAsync()
    {
        lock (SharedLock) return _shared ??= StartAsync("--store", "memstore", "--rbd");
    }

    /// <summary>A server of one's own, for tests that stop or pause it.</summary>
    /// <param name="options">Further options of the script, "--store", "bluestore", say.</param>
    public static async Task<RgwServer> StartAsync(params string[] options)
    {
        var start = new ProcessStartInfo(ScriptPath()) { RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true };
        foreach (var argument in (string[])["run", "--stdin", .. options]) start.ArgumentList.Add(argument);
        var script = Process.Start(start) ?? throw new InvalidOperationException("ceph-mini does not start.");
        var errors = script.StandardError.ReadToEndAsync();
        var environment = new Dictionary<string, string>();
        while (await script.StandardOutput.ReadLineAsync() is { } line)
        {
            if (line == "READY") return new RgwServer(script, environment);
            if (line.IndexOf('=') is var at and > 0) environment[line[..at]] = line[(at + 1)..];
        }

        throw new InvalidOperationException("ceph-mini did not get ready: " + await errors);
    }

    /// <summary>A bucket name that no other test of this process uses.</summary>
    public string NextBucketName() => $"test-{Environment.ProcessId}-{Interlocked.Increment(ref _buckets)}";

    /// <summary>Runs "rgw-kill", "rgw-start", "rgw-pause", "rgw-cont", "osd-pause" or "osd-cont".</summary>
    public async Task ControlAsync(string command)
    {
        using var process = Process.Start(ScriptPath(), [command, "--dir", DirectoryPath]);
        await process.WaitForExitAsync();
        if (process.ExitCode != 0) throw new InvalidOperationException($"ceph-mini {command} ended with {process.ExitCode}.");
    }

    /// <summary>Stops all its daemons and removes its directory.</summary>
    public void Stop()
    {
        if (_script.HasExited) return;
        try
        {
            _script.StandardInput.Close();
            _script.WaitForExit(TimeSpan.FromSeconds(30));
        }
        catch (IOException)
        {
            // The script has just ended by itself.
        }
    }

    private static string ScriptPath()
    {
        for (var folder = AppContext.BaseDirectory; folder is not null; folder = Path.GetDirectoryName(folder))
            if (Path.Combine(folder, "tests", "lab", "ceph-mini") is var script && File.Exists(script)) return script;
        throw new FileNotFoundException($"tests/lab/ceph-mini is not above {AppContext.BaseDirectory}.");
    }
}
