using Gateway.Backends.S3;

namespace Gateway.Bench.Suite;

/// <summary>The most that an S3 endpoint gives, found with a client that does nothing but send, sign and receive.</summary>
internal interface IStoreCeiling : IAsyncDisposable
{
    /// <summary>Puts <paramref name="objects"/> objects of <paramref name="objectBytes"/> random bytes, so many at a time; bytes per second.</summary>
    Task<double> PutAsync(int objectBytes, int objects, int concurrency, CancellationToken cancellationToken);

    /// <summary>Gets the objects that <see cref="PutAsync"/> put, so many at a time; bytes per second.</summary>
    Task<double> GetAsync(int objectBytes, int objects, int concurrency, CancellationToken cancellationToken);
}

/// <summary>Makes the ceiling's client.</summary>
internal static class StoreCeiling
{
    /// <exception cref="SuiteException">There is none in this build.</exception>
    public static IStoreCeiling Create(S3StoreOptions options) => throw new SuiteException($"no client for the ceiling of {options.Endpoint} is in this build");
}
