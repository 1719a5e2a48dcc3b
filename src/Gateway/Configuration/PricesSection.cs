using Gateway.Backends.Core;

namespace Gateway.Configuration;

/// <summary>
/// What requests to stores of type s3 cost, in US dollars: for an estimate. The defaults are Amazon's list prices of S3 Standard in us-east-1 (aws.amazon.com/s3/pricing):
/// PUT and LIST $0.005 for a thousand, GET and all others $0.0004, DELETE free, and traffic within the region free. Your prices, taxes, free tiers and storage itself are not in it.
/// </summary>
internal sealed record PricesSection
{
    /// <summary>Dollars for 1,000 puts. Default 0.005.</summary>
    public double PutsPerThousand { get; set; } = 0.005;

    /// <summary>Dollars for 1,000 listings of up to 1,000 names. Default 0.005.</summary>
    public double ListsPerThousand { get; set; } = 0.005;

    /// <summary>Dollars for 1,000 reads and look-ups. Default 0.0004.</summary>
    public double GetsPerThousand { get; set; } = 0.0004;

    /// <summary>Dollars for 1,000 deletes. Default 0.</summary>
    public double DeletesPerThousand { get; set; }

    /// <summary>Dollars for a GB (10^9 bytes) that is read. Default 0: the gateway runs in the bucket's region; out of it Amazon takes 0.09.</summary>
    public double ReadPerGB { get; set; }

    /// <summary>An estimate of what the requests of one kind have cost. Those that never reached the store are in it.</summary>
    public double CostOf(StoreOperation operation, VolumeRequests requests)
    {
        var perThousand = operation switch
        {
            StoreOperation.Put => PutsPerThousand,
            StoreOperation.List => ListsPerThousand,
            StoreOperation.Delete => DeletesPerThousand,
            _ => GetsPerThousand,
        };
        var count = requests.Requests.Where(r => r.Operation == operation).Sum(r => r.Count);
        return (count * perThousand / 1000) + (operation == StoreOperation.Get ? requests.ReceivedBytes / 1e9 * ReadPerGB : 0);
    }

    public IEnumerable<string> Faults()
    {
        foreach (var (name, price) in ((string, double)[])[("putsPerThousand", PutsPerThousand), ("listsPerThousand", ListsPerThousand), ("getsPerThousand", GetsPerThousand), ("deletesPerThousand", DeletesPerThousand), ("readPerGB", ReadPerGB)])
            if (price is not (>= 0 and <= 1000)) yield return $"{name}: must be between 0 and 1000 (US dollars)";
    }
}
