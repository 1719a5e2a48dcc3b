using System.Globalization;
using Gateway.Backends.Core;
using Gateway.Configuration;

namespace Gateway.Doctor;

/// <summary>What the kernel says of its clock (adjtimex(2)).</summary>
/// <param name="IsSynchronized">Whether a time service keeps it right.</param>
/// <param name="ErrorMax">How wrong it may be.</param>
internal readonly record struct ClockState(bool IsSynchronized, TimeSpan ErrorMax);

/// <summary>
/// The wall clock: against the clocks of the stores that tell theirs (the Date header of HTTP), and by what keeps it right. Signatures of S3 requests and certificates
/// depend on it; leases do not, they count on the boot clock.
/// </summary>
/// <param name="configuration">Whose stores are asked; null: none.</param>
/// <param name="state">The kernel's word; null if it gives none.</param>
/// <param name="clients">Makes the client that asks. The caller disposes nothing.</param>
/// <param name="time">The wall clock.</param>
internal sealed class ClockChecks(GatewayConfiguration? configuration, ClockState? state, Func<HttpClient> clients, TimeProvider time) : ICheckFamily
{
    /// <summary>Past a quarter of an hour S3 refuses signatures (RequestTimeTooSkewed).</summary>
    private static readonly TimeSpan SkewFault = TimeSpan.FromMinutes(14);

    private static readonly TimeSpan SkewWarning = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan AnswerTimeout = TimeSpan.FromSeconds(5);
    private const string Remedy = "Run a time service: apt-get install systemd-timesyncd (or chrony), and see 'timedatectl'.";

    public string Name => "clock";

    public async Task<IReadOnlyList<Finding>> RunAsync(CancellationToken cancellationToken)
    {
        var found = new Findings(Name);
        var compared = 0;
        foreach (var (name, address) in Addresses()) compared += await CompareAsync(found, name, address, cancellationToken) ? 1 : 0;
        Synchronized(found, compared > 0);
        return found.All;
    }

    /// <summary>Where the S3 stores are. Any answer tells the time, a refusal as well.</summary>
    private IEnumerable<(string Store, Uri Address)> Addresses() =>
        from store in configuration?.Stores ?? []
        where store.Value.Type == "s3"
        orderby store.Key
        select (store.Key, store.Value.Endpoint ?? new Uri($"https://s3.{store.Value.Region ?? "us-east-1"}.amazonaws.com"));

    /// <summary>False if the store did not tell.</summary>
    private async Task<bool> CompareAsync(Findings found, string store, Uri address, CancellationToken cancellationToken)
    {
        var check = $"against {store}";
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        limit.CancelAfter(AnswerTimeout);
        try
        {
            using var client = clients();
            using var request = new HttpRequestMessage(HttpMethod.Head, new Uri(address.GetLeftPart(UriPartial.Authority)));
            var before = time.GetUtcNow();
            using var response = await client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, limit.Token);
            var half = (time.GetUtcNow() - before) / 2;
            if (response.Headers.Date is not { } date)
            {
                found.NotLooked(check, "it does not tell its time", null);
                return false;
            }

            Judge(found, check, before + half - date);
            return true;
        }
        catch (Exception e) when (e is HttpRequestException or IOException or OperationCanceledException && !cancellationToken.IsCancellationRequested)
        {
            found.NotLooked(check, e is OperationCanceledException ? $"{address.Authority} has not answered within {AnswerTimeout.TotalSeconds:0} s" : e.Message, null);
            return false;
        }
    }

    /// <param name="ahead">How far our clock is before the store's, which tells whole seconds.</param>
    private static void Judge(Findings found, string check, TimeSpan ahead)
    {
        var difference = ahead.Duration();
        var text = string.Create(CultureInfo.InvariantCulture, $"this host is {difference.TotalSeconds:0} s {(ahead < TimeSpan.Zero ? "behind" : "ahead")}");
        if (difference >= SkewFault) found.Fault(check, $"{text}: the store refuses signed requests", $"Set the clock. {Remedy}");
        else if (difference >= SkewWarning) found.Warning(check, text, $"Set the clock. {Remedy}");
        else found.Ok(check, difference < TimeSpan.FromSeconds(2) ? "the same, to a second or two" : text);
    }

    private void Synchronized(Findings found, bool isCompared)
    {
        const string Check = "time service";
        if (state is not { } kernel) found.NotLooked(Check, "the kernel does not say (adjtimex)", null);
        else if (kernel.IsSynchronized) found.Ok(Check, string.Create(CultureInfo.InvariantCulture, $"the clock is kept right, to {Math.Max(1, kernel.ErrorMax.TotalMilliseconds):0} ms"));
        else if (isCompared || configuration?.Stores.Values.All(s => s.Type == "file") == true) found.Note(Check, "the kernel knows of none that keeps the clock right", $"{Remedy} In a virtual machine the host may do it.");
        else found.Warning(Check, "the kernel knows of none that keeps the clock right, and no store told its time", Remedy);
    }
}
