namespace Gateway.Lio;

/// <summary>An iSCSI target with one portal group, tpgt_1.</summary>
public sealed record IscsiTarget
{
    /// <summary>iqn., lower case, at most 223 characters. Unique.</summary>
    public required string Iqn { get; init; }

    /// <summary>Where it listens. A wildcard address excludes other addresses with the same port, on all targets.</summary>
    public required IReadOnlyList<IscsiPortal> Portals { get; init; }

    /// <summary>Its logical units.</summary>
    public required IReadOnlyList<LunMapping> Luns { get; init; }

    /// <summary>Who may log in. None: everybody, with <see cref="Chap"/> if that is given.</summary>
    public IReadOnlyList<InitiatorAcl> Initiators { get; init; } = [];

    /// <summary>What everybody needs if there are no <see cref="Initiators"/>; null then: no authentication.</summary>
    public ChapCredentials? Chap { get; init; }

    /// <summary>Session parameters.</summary>
    public SessionParameters Session { get; init; } = new();
}

/// <summary>An address and port to listen on.</summary>
public sealed record IscsiPortal
{
    public const int PortDefault = 3260;

    /// <summary>IPv4 or IPv6 without brackets or scope; "0.0.0.0" is every IPv4 address, "::" every address.</summary>
    public required string Address { get; init; }

    /// <summary>TCP port.</summary>
    public int Port { get; init; } = PortDefault;
}

/// <summary>A backstore under a number.</summary>
public sealed record LunMapping
{
    /// <summary>0 to 255. Unique in its target.</summary>
    public required int Number { get; init; }

    /// <summary><see cref="Backstore.Name"/>.</summary>
    public required string Backstore { get; init; }

    /// <summary>Write protected. Without ACLs it is all LUNs of a target or none; tcm_loop and vhost have no such thing.</summary>
    public bool ReadOnly { get; init; }
}

/// <summary>An initiator that may log in. It sees all LUNs of the target.</summary>
public sealed record InitiatorAcl
{
    /// <summary>Its iqn., eui. or naa. name. Unique in its target.</summary>
    public required string Initiator { get; init; }

    /// <summary>Its CHAP credentials. All initiators of a target have some, or none has.</summary>
    public ChapCredentials? Chap { get; init; }
}

/// <summary>What a portal group offers in negotiation (RFC 7143 13), and its depth of commands. Counts in bytes unless named otherwise.</summary>
public sealed record SessionParameters
{
    public int MaxRecvDataSegmentLength { get; init; } = 262_144;

    public int MaxXmitDataSegmentLength { get; init; } = 262_144;

    public int MaxBurstLength { get; init; } = 1_048_576;

    /// <summary>At most <see cref="MaxBurstLength"/>.</summary>
    public int FirstBurstLength { get; init; } = 262_144;

    /// <summary>False, the default, lets short writes go out without waiting for R2T.</summary>
    public bool InitialR2T { get; init; }

    public bool ImmediateData { get; init; } = true;

    public int MaxOutstandingR2T { get; init; } = 1;

    public int DefaultTime2WaitSeconds { get; init; } = 2;

    public int DefaultTime2RetainSeconds { get; init; } = 20;

    /// <summary>Commands that a session may have outstanding, 1 to 512.</summary>
    public int CommandDepth { get; init; } = 128;
}
