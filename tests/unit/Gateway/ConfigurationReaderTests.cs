using System.IO.Pipes;
using System.Text;
using Gateway.Configuration;
using Xunit;

namespace Gateway.Tests;

/// <summary>The configuration as a whole: all faults at once, each in its place, and the environment before the file.</summary>
public sealed class ConfigurationReaderTests
{
    private const string Store = "\"stores\": { \"local\": { \"type\": \"file\", \"path\": \"/srv/volumes\" }, \"cloud-eu\": { \"type\": \"s3\", \"bucket\": \"disks\" } }";

    /// <summary>As a shell makes one for "-c &lt;(...)".</summary>
    [Fact]
    public async Task Read_FromAPipe_TakesItAsAFile()
    {
        using var pipe = new AnonymousPipeServerStream(PipeDirection.Out);
        await pipe.WriteAsync(Encoding.UTF8.GetBytes($"{{ {Store} }}"));
        var path = $"/proc/self/fd/{pipe.GetClientHandleAsString()}";
        var reading = Task.Run(() => ConfigurationReader.Read(path, new Dictionary<string, string>()));
        await pipe.DisposeAsync();

        Assert.Equal(["cloud-eu", "local"], (await reading).Stores.Keys.Order());
    }

    [Fact]
    public void Parse_ManyFaultsOfEveryKind_TellsAllOfThem()
    {
        var error = Refused("""
            {
              // Nothing of this is right.
              "store": {},
              "stores": { "Local": { "type": "file", "pth": "/srv", "resilience": { "retries": "many" } }, "s": { "type": "s3", "bucket": 7, "region": null } },
              "volumes": { "durability": "disk", "cacheBytes": 1.5, "each": [] },
              "targets": { "iscsi": { "disk1": { "luns": [ { "volume": "nowhere/v" }, { "lun": 0 } ], "portals": [ "here:1", 3 ] } } },
              "control": { "listen": "0.0.0.0:7420" },
            }
            """);

        foreach (var fault in (string[])
        [
            "  - store: there is no such setting; do you mean 'stores'?",
            "  - stores.Local.pth: there is no such setting; do you mean 'path'?",
            "  - stores.Local.resilience.retries: \"many\" must be a whole number",
            "  - stores.Local: a store's name has lower-case letters",
            "  - stores.Local.path: a file store needs an absolute path",
            "  - stores.s.bucket: 7 must be a text in quotes",
            "  - volumes.durability: \"disk\" must be one of \"journal\", \"bucket\"",
            "  - volumes.cacheBytes: 1.5 must be a whole number",
            "  - volumes.each: [] must be an object: { … }",
            "  - targets.iscsi.disk1.portals[1]: 3 must be a text in quotes",
            "  - targets.iscsi.disk1: must be an iSCSI name",
            "  - targets.iscsi.disk1.portals: 'here:1' is no ADDRESS:PORT",
            "  - targets.iscsi.disk1.luns: 'nowhere/v' must be STORE/VOLUME",
            "  - targets.iscsi.disk1.luns: 0 is there 2 times",
            "  - control.certificateFile: needed with listen",
        ]) Assert.Contains(fault, error, StringComparison.Ordinal);
        Assert.DoesNotContain("an s3 store needs a bucket", error, StringComparison.Ordinal); // It has one; what is wrong with it was said.
    }

    [Theory]
    [InlineData("{\n  \"stores\": {},\n  oops\n}", "in line 3")]
    [InlineData("{ \"stores\": {}, \"stores\": {} }", "is no valid JSON")]
    [InlineData("[]", "must be one JSON object")]
    [InlineData("null", "must be one JSON object")]
    [InlineData("", "is no valid JSON")]
    public void Parse_NoConfiguration_SaysWhere(string text, string fault) => Assert.Contains(fault, Refused(text), StringComparison.Ordinal);

    [Fact]
    public void Parse_ByteOrderMarkSchemaCommentsAndTrailingCommas_AreAccepted() =>
        Assert.Equal(["cloud-eu", "local"], Parse($"\uFEFF{{ \"$schema\": \"https://example.org/s.json\", /* both */ {Store}, }}").Stores.Keys.Order());

    [Fact]
    public void Parse_EnvironmentVariables_ComeBeforeTheFile()
    {
        var configuration = Parse($$"""{ {{Store}}, "volumes": { "uploadWindow": 3 } }""", new()
        {
            ["TCMU_GATEWAY__STORES__CLOUD_EU__BUCKET"] = "12345",
            ["TCMU_GATEWAY__STORES__CLOUD_EU__RESILIENCE__RETRIES"] = "7",
            ["TCMU_GATEWAY__STORES__MORE"] = """{ "type": "file", "path": "/srv/more" }""",
            ["TCMU_GATEWAY__VOLUMES__UPLOADWINDOW"] = "9",
            ["TCMU_GATEWAY__VOLUMES__DURABILITY"] = "bucket",
            ["TCMU_GATEWAY__JOURNAL__DIRECTORY"] = "/j",
            ["TCMU_GATEWAY_CONFIG"] = "not ours",
            ["PATH"] = "/bin",
        });

        Assert.Equal(("12345", 7), (configuration.Stores["cloud-eu"].Bucket, configuration.Stores["cloud-eu"].Resilience.Retries));
        Assert.Equal("/srv/more", configuration.Stores["more"].Path);
        Assert.Equal((9, Volumes.Durability.Bucket, "/j"), (configuration.Volumes.UploadWindow, configuration.Volumes.Durability, configuration.Journal.Directory));
    }

    [Theory]
    [InlineData("TCMU_GATEWAY__STORE__LOCAL__PATH", "/x", "there is no setting 'STORE.LOCAL.PATH'")]
    [InlineData("TCMU_GATEWAY__VOLUMES__UPLOADWINDOW", "many", "volumes.uploadWindow: \"many\" must be a whole number")]
    [InlineData("TCMU_GATEWAY__", "1", "there is no setting ''")]
    [InlineData("TCMU_GATEWAY__STATEDIRECTORY__MORE", "1", "there is no setting 'STATEDIRECTORY.MORE'")]
    public void Parse_WrongEnvironmentVariable_IsAFault(string variable, string value, string fault) =>
        Assert.Contains(fault, Assert.Throws<ConfigurationException>(() => Parse($"{{ {Store} }}", new() { [variable] = value })).Message, StringComparison.Ordinal);

    [Fact]
    public void Parse_Targets_AreRead()
    {
        var configuration = Parse($$"""
            {
              {{Store}},
              "volumes": { "each": { "local/db": { "size": "10GiB", "blockSize": 4096, "compression": "zstd" } } },
              "targets": {
                "iscsi": {
                  "iqn.2025-01.org.example:db": {
                    "portals": [ "192.0.2.1", "[2001:db8::1]:3261" ],
                    "luns": [ { "volume": "local/db" }, { "volume": "cloud-eu/logs", "lun": 5, "readOnly": true } ],
                    "initiators": { "iqn.1994-05.com.redhat:host1": { "chap": { "user": "host1", "secretFile": "/etc/s" }, "mutualChap": { "user": "gw", "secretEnv": "GW" } } }
                  }
                },
                "loopback": { "naa.5001405000000001": { "luns": [ { "volume": "local/db" } ] } }
              }
            }
            """);

        var target = configuration.Targets.Iscsi["iqn.2025-01.org.example:db"];
        Assert.Equal([(0, "local/db"), (5, "cloud-eu/logs")], LunSection.Numbered(target.Luns).Select(l => (l.Lun, l.Section.Volume)));
        Assert.True(IscsiTargetSection.TryParsePortal(target.Portals[0], out var first) && first.ToString() == "192.0.2.1:3260");
        Assert.True(IscsiTargetSection.TryParsePortal(target.Portals[1], out var second) && second.ToString() == "[2001:db8::1]:3261");
        Assert.Equal(new Volumes.VolumeSpec(10L << 30, 4096, Volumes.VolumeCompression.Zstd), configuration.Volumes.Each["local/db"].ToSpec());
        Assert.Equal(["local/db", "cloud-eu/logs"], configuration.Targets.Volumes);
    }

    [Theory]
    [InlineData("\"volumes\": { \"each\": { \"local/v\": { \"size\": \"10 bananas\" } } }", "volumes.each.local/v.size: must be a multiple")]
    [InlineData("\"volumes\": { \"each\": { \"local/v\": { \"size\": \"1000\" } } }", "volumes.each.local/v.size: must be a multiple")]
    [InlineData("\"volumes\": { \"each\": { \"local/v\": { \"compression\": \"zip\" } } }", "volumes.each.local/v.compression: must be one of")]
    [InlineData("\"targets\": { \"discovery\": { \"mutualChap\": { \"user\": \"a\", \"secretFile\": \"/s\" } } }", "targets.discovery.mutualChap: needs chap, too")]
    [InlineData("\"targets\": { \"discovery\": { \"chap\": { \"user\": \"a\" } } }", "targets.discovery.chap: give secretFile or secretEnv")]
    [InlineData("\"targets\": { \"loopback\": { \"NAA.1\": { \"luns\": [] } } }", "targets.loopback.NAA.1: must be a name")]
    [InlineData("\"targets\": { \"loopback\": { \"naa.6001405000000001\": { \"luns\": [{ \"volume\": \"local/v\" }] } } }", "targets.loopback.naa.6001405000000001: must be a name")]
    [InlineData("\"targets\": { \"loopback\": { \"a\": { \"luns\": [{ \"volume\": \"local/v\", \"readOnly\": true }] } } }", "LUN 0 cannot be read-only")]
    [InlineData("\"targets\": { \"iscsi\": { \"iqn.2025-01.org.example:a\": { \"luns\": [{ \"volume\": \"local/v\" }, { \"volume\": \"local/w\", \"readOnly\": true }] } } }", "targets.iscsi.iqn.2025-01.org.example:a: without a list of initiators")]
    [InlineData("\"control\": { \"socket\": \"relative\" }", "control.socket: must be an absolute path")]
    public void Parse_ValuesThatCannotBe_AreFaults(string settings, string fault) => Assert.Contains(fault, Refused($"{{ {Store}, {settings} }}"), StringComparison.Ordinal);

    /// <summary>What is shown can be used as it is, and says the same.</summary>
    [Fact]
    public void Show_OfAConfiguration_ReadsBackTheSame()
    {
        var shown = ConfigurationReader.Show(Parse($"{{ {Store} }}"));

        Assert.Equal(shown, ConfigurationReader.Show(Parse(shown)));
        Assert.Contains("\"uploadWindow\": 8", shown, StringComparison.Ordinal);
        Assert.DoesNotContain("null", shown, StringComparison.Ordinal);
    }

    /// <summary>Whatever stands there, the one kind of exception says so.</summary>
    [Fact]
    public void Parse_DamagedText_IsRefusedOrRead()
    {
        var random = new Random(1);
        var text = Encoding.UTF8.GetBytes($$"""{ {{Store}}, "targets": { "iscsi": { "iqn.2025-01.org.example:db": { "luns": [ { "volume": "local/db" } ] } } }, "volumes": { "leaseSeconds": 30 } }""");
        for (var i = 0; i < 3000; i++)
        {
            var damaged = text.ToArray();
            for (var n = random.Next(1, 4); n > 0; n--) damaged[random.Next(damaged.Length)] = (byte)random.Next(256);
            try
            {
                ConfigurationReader.Parse(damaged, "it", new Dictionary<string, string>());
            }
            catch (ConfigurationException)
            {
                // As it should be.
            }
        }
    }

    private static string Refused(string text) => Assert.Throws<ConfigurationException>(() => Parse(text)).Message;

    private static GatewayConfiguration Parse(string text, Dictionary<string, string>? environment = null) => ConfigurationReader.Parse(Encoding.UTF8.GetBytes(text), "It", environment ?? []);
}
