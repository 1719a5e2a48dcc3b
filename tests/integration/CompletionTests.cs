using System.Globalization;
using Xunit;

namespace Gateway.Integration.Tests;

/// <summary>The scripts of 'completion' in the shells themselves, with the native executable.</summary>
public sealed class CompletionTests : IDisposable
{
    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(2);
    private readonly string _folder = Directory.CreateTempSubdirectory("tcmu-gateway-completion-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    public static TheoryData<string, string[], string[]> Lines => new()
    {
        { "tcmu-gateway vol", ["volume"], ["serve"] },
        { "tcmu-gateway volume re", ["rename", "resize", "restore"], ["create"] },
        { "tcmu-gateway volume info loc", ["local/d1", "local/declared"], ["cloud/d1"] },
        { "tcmu-gateway volume list ", ["local", "cloud"], ["volume"] },
        { "tcmu-gateway volume create local/d3 --compression zs", ["zstd"], ["lz4"] },
        { "tcmu-gateway target acl iqn.2025-01.org.example:", ["iqn.2025-01.org.example:t1"], [] },
        { "tcmu-gateway target export --ki", ["--kind"], ["--lun"] },
    };

    [SkippableTheory, MemberData(nameof(Lines))]
    public async Task Bash_CompletesWhatMayComeNext(string line, string[] offered, string[] not)
    {
        await PrepareAsync("bash");
        // As readline calls it; what is left out of a word is what stands before its last break.
        var script = $$"""
            source <(tcmu-gateway completion bash)
            complete -p tcmu-gateway > /dev/null || exit 9
            COMP_LINE='{{line}}' COMP_POINT={{line.Length.ToString(CultureInfo.InvariantCulture)}} COMP_WORDS=(tcmu-gateway) COMP_CWORD=0
            _tcmu_gateway
            printf '%s\n' "${COMPREPLY[@]}"
            """;

        Check(await RunAsync("bash", "--norc", "-c", script), offered.Select(o => line.EndsWith(':') ? o[(o.IndexOf(':', StringComparison.Ordinal) + 1)..] : o), not);
    }

    [SkippableTheory, MemberData(nameof(Lines))]
    public async Task Fish_CompletesWhatMayComeNext(string line, string[] offered, string[] not)
    {
        await PrepareAsync("fish");

        Check(await RunAsync("fish", "--no-config", "-c", $"tcmu-gateway completion fish | source; complete -C '{line}'"), offered, not);
    }

    [SkippableTheory, MemberData(nameof(Lines))]
    public async Task Zsh_CompletesWhatMayComeNext(string line, string[] offered, string[] not)
    {
        await PrepareAsync("zsh");
        // A shell in a terminal of its own, whose completion lists what it would offer.
        var inner = Path.Combine(_folder, "inner.zsh");
        await File.WriteAllTextAsync(inner, """
            PROMPT= ; autoload -Uz compinit && compinit -u -d $HOME/.zcompdump
            source <(tcmu-gateway completion zsh)
            tell() { builtin compadd -A found "$@"; print -r -- "${(F)found}" >> $HOME/offered; builtin compadd "$@"; }
            compadd() { tell "$@" }
            bindkey '^I' complete-word
            print ready > $HOME/ready
            """);
        var script = $$"""
            zmodload zsh/zpty
            zpty shell zsh -f -i
            zpty -w shell 'source {{inner}}'
            for ((i = 0; i < 600; i++)); do [[ -s $HOME/ready ]] && break; zselect -t 10 2> /dev/null || sleep 0.1; done
            zpty -w -n shell {{"'" + line + "'"}}$'\t'
            for ((i = 0; i < 600; i++)); do [[ -s $HOME/offered ]] && break; sleep 0.1; done
            cat $HOME/offered
            zpty -d shell
            """;

        Check(await RunAsync("zsh", "-f", "-c", script), offered, not);
    }

    [SkippableFact]
    public async Task Suggestions_WithAStoreThatNeverAnswers_ComeAtOnceFromWhatIsKnown()
    {
        await PrepareAsync("bash");
        using var silent = new System.Net.Sockets.TcpListener(System.Net.IPAddress.Loopback, 0); // Accepts nobody.
        silent.Start();
        var port = ((System.Net.IPEndPoint)silent.LocalEndpoint).Port;
        await File.WriteAllTextAsync(Path.Combine(_folder, "gateway.json"), $$"""{ "stores": { "away": { "type": "s3", "endpoint": "http://127.0.0.1:{{port}}", "bucket": "b" } }, "volumes": { "each": { "away/known": { } } }, "stateDirectory": "{{_folder}}/state" }""");
        const string Line = "tcmu-gateway volume info away/";

        var result = await RunAsync(Repository.Gateway, $"[suggest:{Line.Length}]", Line);

        Assert.Contains("away/known", result.Output.Split('\n'));
        Assert.False(silent.Pending(), "The store was asked.");
    }

    private static void Check(CommandResult result, IEnumerable<string> offered, string[] not)
    {
        var words = result.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(w => w.Split('\t')[0].Trim()).ToArray();
        Assert.True(result.ExitCode == 0, result.ToString());
        Assert.All(offered, o => Assert.Contains(o, words));
        Assert.All(not, n => Assert.DoesNotContain(n, words));
    }

    /// <summary>A home with the executable in its path, a configuration, and a volume in a directory.</summary>
    private async Task PrepareAsync(string shell)
    {
        var isRequired = Environment.GetEnvironmentVariable("REQUIRE_CLI") == "1";
        Skip.If(Repository.Gateway.Length == 0 && !isRequired, "there is no native executable: make publish");
        Skip.If(!Environment.GetEnvironmentVariable("PATH")!.Split(':').Any(p => File.Exists(Path.Combine(p, shell))) && !isRequired, $"there is no {shell}: make packages-cli");
        Directory.CreateDirectory(Path.Combine(_folder, "bin"));
        File.CreateSymbolicLink(Path.Combine(_folder, "bin/tcmu-gateway"), Repository.Gateway);
        var bucket = Directory.CreateDirectory(Path.Combine(_folder, "bucket")).FullName;
        await File.WriteAllTextAsync(Path.Combine(_folder, "gateway.json"), $$"""
            {
              "stores": { "local": { "type": "file", "path": "{{bucket}}" }, "cloud": { "type": "s3", "bucket": "b" } },
              "volumes": { "each": { "local/declared": { } } },
              "targets": { "iscsi": { "iqn.2025-01.org.example:t1": { "luns": [ { "volume": "local/d1" } ] } } },
              "stateDirectory": "{{_folder}}/state"
            }
            """);
        var made = await RunAsync(Repository.Gateway, "volume", "create", "local/d1", "--size", "64MiB");
        Assert.True(made.ExitCode == 0, made.ToString());
    }

    private Task<CommandResult> RunAsync(string program, params string[] arguments) => Command.RunAsync(
        program, arguments, Limit, ("HOME", _folder), ("XDG_CONFIG_HOME", _folder), ("XDG_DATA_HOME", _folder), ("PATH", $"{_folder}/bin:{Environment.GetEnvironmentVariable("PATH")}"), ("TCMU_GATEWAY_CONFIG", Path.Combine(_folder, "gateway.json")), ("TERM", "dumb"));
}
