using System.Diagnostics.CodeAnalysis;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Options;

namespace Gateway.Cli;

/// <summary>
/// Options that are what they are. The options library would put each together from open generic types, which native code makes at run time: a quarter of
/// the processor time of a start, while initiators wait for their volumes.
/// </summary>
internal sealed class FixedOptions<[DynamicallyAccessedMembers(DynamicallyAccessedMemberTypes.PublicParameterlessConstructor)] T>(T value) : IOptions<T>, IOptionsMonitor<T>
    where T : class
{
    public T Value => value;

    public T CurrentValue => value;

    public T Get(string? name) => value;

    public IDisposable? OnChange(Action<T, string?> listener) => null; // They do not.
}

/// <summary>Adds them to a host.</summary>
internal static class FixedOptionsExtensions
{
    /// <summary>Takes the place of whatever configures <typeparamref name="T"/>.</summary>
    public static void AddFixed<[DynamicallyAccessedMembers(DynamicallyAccessedMemberTypes.PublicParameterlessConstructor)] T>(this IServiceCollection services, T value)
        where T : class
    {
        var options = new FixedOptions<T>(value);
        services.AddSingleton<IOptions<T>>(options);
        services.AddSingleton<IOptionsMonitor<T>>(options);
    }
}
