using System.Globalization;

namespace Gateway.Backends.Core;

/// <summary>What goes wrong with a store, and how often. Shares are of all requests, from 0 to 1; of the failures, a request meets one at most.</summary>
public sealed record FaultPlan
{
    /// <summary>How a plan is written, for help texts.</summary>
    public const string Syntax =
        "NAME=VALUE, separated by commas. Shares of requests, 0 to 1: unavailable and throttled (refused by the store), refused (no access), reset (takes effect, its answer is lost), " +
        "hole=SHARE[:TIME] (no effect; no answer for TIME, default 20s), slow=SHARE:TIME, wrong (of reads: one byte is another). " +
        "For every request: latency=TIME, jitter=TIME (up to so much more). bandwidth=MB (per second, all requests together). TIME is a number with ms or s.";

    /// <summary>A store that does its work.</summary>
    public static readonly FaultPlan None = new();

    private static readonly TimeSpan TimeMax = TimeSpan.FromHours(1);

    /// <summary>Ends as Unavailable, without effect.</summary>
    public double Unavailable { get; init; }

    /// <summary>Ends as Throttled, without effect.</summary>
    public double Throttled { get; init; }

    /// <summary>Ends as AccessDenied, without effect.</summary>
    public double Refused { get; init; }

    /// <summary>Takes effect and ends as Unavailable: the answer is lost.</summary>
    public double Reset { get; init; }

    /// <summary>Has no effect, and no answer for <see cref="HoleTime"/>; then Unavailable, as a store's client has it.</summary>
    public double Hole { get; init; }

    /// <summary>Up to 1 h, default 20 s.</summary>
    public TimeSpan HoleTime { get; init; } = TimeSpan.FromSeconds(20);

    /// <summary>Takes <see cref="SlowTime"/> more, whatever else it meets.</summary>
    public double Slow { get; init; }

    /// <summary>Up to 1 h.</summary>
    public TimeSpan SlowTime { get; init; }

    /// <summary>Of reads: one byte comes back as another.</summary>
    public double Wrong { get; init; }

    /// <summary>Each request takes this long, before its effect. Up to 1 h.</summary>
    public TimeSpan Latency { get; init; }

    /// <summary>Each request takes up to so much more, evenly spread. Up to 1 h.</summary>
    public TimeSpan Jitter { get; init; }

    /// <summary>Bytes per second that all reads and puts together get; 0: no limit.</summary>
    public double BytesPerSecond { get; init; }

    /// <summary>Puts and deletes fail never: nobody but their caller can repeat those.</summary>
    public bool SparesWrites { get; init; }

    /// <summary>Why a plan cannot be followed; null if it can.</summary>
    public string? Fault
    {
        get
        {
            foreach (var (name, share) in (ReadOnlySpan<(string, double)>)[("unavailable", Unavailable), ("throttled", Throttled), ("refused", Refused), ("reset", Reset), ("hole", Hole), ("slow", Slow), ("wrong", Wrong)])
                if (share is not (>= 0 and <= 1)) return $"{name}: a share is from 0 to 1";
            if (Unavailable + Throttled + Refused + Reset + Hole > 1 + 1e-9) return "unavailable, throttled, refused, reset and hole are more than 1 together";
            foreach (var (name, time) in (ReadOnlySpan<(string, TimeSpan)>)[("hole", HoleTime), ("slow", SlowTime), ("latency", Latency), ("jitter", Jitter)])
                if (time < TimeSpan.Zero || time > TimeMax) return $"{name}: a time is from 0 to 3600 s";
            return BytesPerSecond is 0 or (>= 1 and <= 1e15) ? null : "bandwidth: must be more than 0, and is in MB per second";
        }
    }

    /// <summary>Reads a plan as <see cref="Syntax"/> has it.</summary>
    /// <exception cref="FormatException">It is not one; the message names the part and says why.</exception>
    public static FaultPlan Parse(string text)
    {
        var plan = None;
        var named = new HashSet<string>(StringComparer.Ordinal);
        foreach (var part in text.Split(',', StringSplitOptions.TrimEntries))
        {
            if (part.Split('=', 2) is not [var name, var value]) throw new FormatException($"'{part}' is no fault. Write {Syntax}");
            if (!named.Add(name)) throw new FormatException($"'{name}' is there twice.");
            var (share, time) = value.Split(':', 2) is [var s, var t] ? (s, t) : (value, null);
            if (time is not null && name is not ("hole" or "slow")) throw new FormatException($"'{part}': only hole and slow have a time.");
            plan = name switch
            {
                "unavailable" => plan with { Unavailable = Number(part, share) },
                "throttled" => plan with { Throttled = Number(part, share) },
                "refused" => plan with { Refused = Number(part, share) },
                "reset" => plan with { Reset = Number(part, share) },
                "wrong" => plan with { Wrong = Number(part, share) },
                "hole" => plan with { Hole = Number(part, share), HoleTime = time is null ? plan.HoleTime : Time(part, time) },
                "slow" => plan with { Slow = Number(part, share), SlowTime = time is null ? throw new FormatException($"'{part}': write how slow, for example slow=0.05:10s.") : Time(part, time) },
                "latency" => plan with { Latency = Time(part, value) },
                "jitter" => plan with { Jitter = Time(part, value) },
                "bandwidth" => plan with { BytesPerSecond = Number(part, value) is > 0 and var megabytes ? megabytes * 1e6 : -1 },
                _ => throw new FormatException($"There is no fault '{name}'. Write {Syntax}"),
            };
        }

        return plan.Fault is { } fault ? throw new FormatException($"{fault}.") : plan;
    }

    private static double Number(string part, string text) =>
        double.TryParse(text, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var value) ? value : throw new FormatException($"'{part}': '{text}' is no number.");

    private static TimeSpan Time(string part, string text)
    {
        var (digits, unit) = text.EndsWith("ms", StringComparison.Ordinal) ? (text[..^2], 1e-3) : text.EndsWith('s') ? (text[..^1], 1) : throw new FormatException($"'{part}': '{text}' is no time. Write 20ms or 1.5s.");
        return TimeSpan.FromSeconds(Math.Min(Number(part, digits) * unit, 1e6));
    }
}
