using System.Text.Json;
using System.Text.Json.Serialization;
using Gateway.Lio;

namespace Gateway.Cli;

/// <summary>The JSON form of <see cref="DesiredState"/> for <c>target apply</c>, with defaults; the serializer would not keep those of properties that are only initialised.</summary>
internal sealed record TargetFile
{
    public List<BackstoreEntry> Backstores { get; set; } = [];

    public List<IscsiEntry> IscsiTargets { get; set; } = [];

    public List<NexusEntry> LoopbackTargets { get; set; } = [];

    public List<NexusEntry> VhostTargets { get; set; } = [];

    public ChapEntry? DiscoveryAuth { get; set; }

    public DesiredState ToDesiredState() => new()
    {
        Backstores = Backstores.ConvertAll(b => b.ToBackstore()),
        IscsiTargets = IscsiTargets.ConvertAll(t => t.ToTarget()),
        LoopbackTargets = LoopbackTargets.ConvertAll(t => t.ToTarget()),
        VhostTargets = VhostTargets.ConvertAll(t => t.ToTarget()),
        DiscoveryAuth = DiscoveryAuth?.ToCredentials(),
    };

    internal sealed record BackstoreEntry
    {
        public required string Name { get; set; }

        public required string Config { get; set; }

        public required long SizeBytes { get; set; }

        public required Guid UnitSerial { get; set; }

        public int BlockSizeBytes { get; set; } = 4096;

        public Backstore ToBackstore() => new() { Name = Name, Config = Config, SizeBytes = SizeBytes, UnitSerial = UnitSerial, BlockSizeBytes = BlockSizeBytes };
    }

    internal sealed record PortalEntry
    {
        public required string Address { get; set; }

        public int Port { get; set; } = IscsiPortal.PortDefault;
    }

    internal sealed record LunEntry
    {
        public required int Number { get; set; }

        public required string Backstore { get; set; }

        public bool ReadOnly { get; set; }

        public LunMapping ToMapping() => new() { Number = Number, Backstore = Backstore, ReadOnly = ReadOnly };
    }

    internal sealed record ChapEntry
    {
        public required string User { get; set; }

        public required ChapSecret Secret { get; set; }

        public string? MutualUser { get; set; }

        public ChapSecret? MutualSecret { get; set; }

        public ChapCredentials ToCredentials() => new() { User = User, Secret = Secret, MutualUser = MutualUser, MutualSecret = MutualSecret };
    }

    internal sealed record InitiatorEntry
    {
        public required string Initiator { get; set; }

        public ChapEntry? Chap { get; set; }
    }

    internal sealed record IscsiEntry
    {
        public required string Iqn { get; set; }

        public required List<PortalEntry> Portals { get; set; }

        public required List<LunEntry> Luns { get; set; }

        public List<InitiatorEntry> Initiators { get; set; } = [];

        public ChapEntry? Chap { get; set; }

        public IscsiTarget ToTarget() => new()
        {
            Iqn = Iqn,
            Portals = Portals.ConvertAll(p => new IscsiPortal { Address = p.Address, Port = p.Port }),
            Luns = Luns.ConvertAll(l => l.ToMapping()),
            Initiators = Initiators.ConvertAll(i => new InitiatorAcl { Initiator = i.Initiator, Chap = i.Chap?.ToCredentials() }),
            Chap = Chap?.ToCredentials(),
        };
    }

    internal sealed record NexusEntry
    {
        public required string Wwn { get; set; }

        public required string Nexus { get; set; }

        public required List<LunEntry> Luns { get; set; }

        public NexusTarget ToTarget() => new() { Wwn = Wwn, Nexus = Nexus, Luns = Luns.ConvertAll(l => l.ToMapping()) };
    }
}

[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase,
    ReadCommentHandling = JsonCommentHandling.Skip,
    AllowTrailingCommas = true,
    UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
    Converters = [typeof(ChapSecretConverter)])]
[JsonSerializable(typeof(TargetFile))]
internal sealed partial class TargetFileJson : JsonSerializerContext;

/// <summary>Reads CHAP secrets, and writes none.</summary>
internal sealed class ChapSecretConverter : JsonConverter<ChapSecret>
{
    public override ChapSecret Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) =>
        new(reader.GetString() ?? throw new JsonException("A secret is a text."));

    public override void Write(Utf8JsonWriter writer, ChapSecret value, JsonSerializerOptions options) => writer.WriteStringValue(value.ToString());
}
