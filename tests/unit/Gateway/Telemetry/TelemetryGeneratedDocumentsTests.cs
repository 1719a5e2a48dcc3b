using System.Diagnostics.Metrics;
using System.Globalization;
using System.Reflection;
using System.Text;
using Gateway.Configuration;
using Gateway.Telemetry;
using Gateway.Tests.Documents;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Xunit;

namespace Gateway.Tests.Telemetry;

/// <summary>docs/metrics.md and docs/events.md say what the code does. 'make docs' writes them anew.</summary>
public sealed class TelemetryGeneratedDocumentsTests
{
    private static readonly string Documents = Path.Combine(GeneratedDocumentsTests.Root, "docs");

    [Fact]
    public void Metrics_OfTheCode_AreThoseOfTheDocument()
    {
        using var services = new ServiceCollection().AddMetrics().BuildServiceProvider();
        var metrics = new GatewayMetrics(services.GetRequiredService<IMeterFactory>(), new NoSource(), new TelemetrySection(), null, TimeProvider.System);

        Check("metrics.md", MetricsDocument.Of(metrics.Rows));
        Assert.Equal(metrics.Rows.Count, metrics.Rows.DistinctBy(r => r.Name).Count());
        Assert.Subset(Tag.All.Select(t => t.Name).ToHashSet(), metrics.Rows.SelectMany(r => r.Attributes).ToHashSet());
    }

    [Fact]
    public void Events_OfTheCode_AreThoseOfTheDocument() => Check("events.md", EventsText());

    [Fact]
    public void Events_OfTheCode_HaveNamesAndNumbersOfTheirOwn()
    {
        var events = Events().Select(e => e.Event).ToArray();

        Assert.All(events, e => Assert.False(string.IsNullOrEmpty(e.EventName), $"Event {e.EventId} has no name."));
        Assert.Empty(events.GroupBy(e => e.EventId).Where(g => g.Count() > 1).Select(g => string.Join(", ", g.Select(e => $"{e.EventId} {e.EventName}"))));
        Assert.Empty(events.GroupBy(e => e.EventName).Where(g => g.Count() > 1).Select(g => g.Key));
    }

    private static void Check(string file, string text)
    {
        var path = Path.Combine(Documents, file);
        if (Environment.GetEnvironmentVariable("UPDATE_DOCS") == "1") File.WriteAllText(path, text);
        Assert.True(File.Exists(path) && File.ReadAllText(path) == text, $"docs/{file} is not what the code says. Run 'make docs', and look at the difference.");
    }

    private static string EventsText()
    {
        var text = new StringBuilder("""
            # Events

            Made from the code by `make docs`. What the gateway logs, by number. Numbers and names stay what they are; texts may change. With OTLP a record has the name as its event name, and the values in braces as attributes.

            Error and critical: somebody must act. Warning: it works, but worse than it should. Information: what happens in its life. Debug: with `serve --verbose` only.

            | number | name | level | text |
            |---|---|---|---|

            """);
        foreach (var (found, parameters) in Events())
        {
            var level = parameters.Any(p => p.ParameterType == typeof(LogLevel)) ? "warning, debug" : found.Level.ToString().ToLowerInvariant();
            text.Append(CultureInfo.InvariantCulture, $"| {found.EventId} | {found.EventName} | {level} | {found.Message.Replace("|", "\\|", StringComparison.Ordinal)} |\n");
        }

        return text.ToString();
    }

    /// <summary>All log methods of the program, by number.</summary>
    private static IEnumerable<(LoggerMessageAttribute Event, ParameterInfo[] Parameters)> Events() =>
        from assembly in Assemblies()
        from type in assembly.GetTypes()
        from method in type.GetMethods(BindingFlags.Static | BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.DeclaredOnly)
        let found = method.GetCustomAttribute<LoggerMessageAttribute>()
        where found is not null
        orderby found.EventId
        select (found, method.GetParameters());

    private static IEnumerable<Assembly> Assemblies()
    {
        var program = typeof(GatewayMetrics).Assembly;
        return program.GetReferencedAssemblies().Where(a => a.Name!.StartsWith("Gateway.", StringComparison.Ordinal)).Select(Assembly.Load).Append(program);
    }

    private sealed class NoSource : IMetricSource
    {
        public IEnumerable<MeteredDevice> Devices => [];

        public IEnumerable<MeteredStore> Stores => [];
    }
}
