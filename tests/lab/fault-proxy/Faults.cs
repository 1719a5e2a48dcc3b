using System.Globalization;

namespace Gateway.FaultProxy;

/// <summary>What goes wrong with requests from now on. Rates are from 0 to 1 and independent; the first that applies counts.</summary>
internal sealed record Faults
{
    /// <summary>Requests are taken and never answered.</summary>
    public bool BlackHole { get; private init; }

    /// <summary>Every request is refused as one with revoked credentials.</summary>
    public bool Revoked { get; private init; }

    /// <summary>Every request is refused as one to a bucket that does not exist.</summary>
    public bool BucketGone { get; private init; }

    /// <summary>Connections that are reset: half of them before the request has had its effect, half after.</summary>
    public double Reset { get; private init; }

    /// <summary>Requests answered with 503 SlowDown.</summary>
    public double Unavailable { get; private init; }

    /// <summary>Requests that wait for <see cref="Delay"/> first.</summary>
    public double Slow { get; private init; }

    public TimeSpan Delay { get; private init; } = TimeSpan.FromSeconds(10);

    /// <summary>Blobs whose key contains this text have one wrong byte, the same in every GET that covers it. Empty: none.</summary>
    public string Flip { get; private init; } = "";

    /// <summary>Where that byte is in the blob.</summary>
    public long FlipAt { get; private init; }

    /// <exception cref="FormatException">An unknown name, or a value that cannot be.</exception>
    public static Faults Parse(IEnumerable<KeyValuePair<string, string>> settings)
    {
        var faults = new Faults();
        foreach (var (name, value) in settings)
        {
            faults = name switch
            {
                "blackHole" => faults with { BlackHole = value == "1" },
                "revoked" => faults with { Revoked = value == "1" },
                "bucketGone" => faults with { BucketGone = value == "1" },
                "reset" => faults with { Reset = Rate(value) },
                "unavailable" => faults with { Unavailable = Rate(value) },
                "slow" => faults with { Slow = Rate(value) },
                "delaySeconds" => faults with { Delay = TimeSpan.FromSeconds(double.Parse(value, CultureInfo.InvariantCulture)) },
                "flip" => faults with { Flip = value },
                "flipAt" => faults with { FlipAt = long.Parse(value, NumberStyles.None, CultureInfo.InvariantCulture) },
                _ => throw new FormatException($"There is no fault '{name}'."),
            };
        }

        return faults;
    }

    private static double Rate(string text) =>
        double.Parse(text, CultureInfo.InvariantCulture) is >= 0 and <= 1 and var rate ? rate : throw new FormatException($"A rate is from 0 to 1, not {text}.");
}
