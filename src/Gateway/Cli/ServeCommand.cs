using System.CommandLine;
using Gateway.Configuration;
using Gateway.Control;
using Gateway.Health;
using Gateway.Http;
using Gateway.Lio;
using Gateway.Serving;
using Gateway.Targets;
using Gateway.Telemetry;
using Gateway.Volumes.Leases;
using Grpc.HealthCheck;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Hosting.Systemd;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Console;

namespace Gateway.Cli;

/// <summary><c>serve</c>: the daemon, in the foreground.</summary>
internal static class ServeCommand
{
    /// <summary>All devices are stopped and their volumes closed within this; systemd's own limit is 90 s.</summary>
    private static readonly TimeSpan ShutdownTimeout = TimeSpan.FromSeconds(60);

    public static Command Build()
    {
        var ready = new Option<string?>("--ready-file") { Description = "A file to write the process id to once all devices that exist are attached.", HelpName = "FILE" };
        var verbose = new Option<bool>("--verbose", "-v") { Description = "Log at debug level." };
        var command = new Command("serve", "Serves every TCMU device whose configuration string is gateway/STORE/VOLUME, in the foreground. Needs root.") { ready, verbose };
        command.SetAction(async (result, cancellation) =>
        {
            var code = await CommandLine.RunAsync(
                async () =>
                {
                    var file = Path.GetFullPath(result.GetValue(CommandLine.ConfigOption)!);
                    var configuration = GatewayConfiguration.Load(file);
                    StoreWarmUp.Begin(configuration, new KernelRoots());
                    using var host = BuildHost(configuration, new ServeArguments(result.GetValue(ready), file), result.GetValue(verbose) ? LogLevel.Debug : LogLevel.Information);
                    await host.RunAsync(cancellation);
                },
                result.InvocationConfiguration.Error);
            return code != 0 ? code : Environment.ExitCode;
        });
        return command;
    }

    /// <summary>The daemon's host without its services: logging, systemd, the limit of a stop.</summary>
    internal static HostApplicationBuilder NewHostBuilder(LogLevel level)
    {
        // The content root is not the working directory, which may be '/': nothing is read from there, and watching it would take for ever.
        var builder = Host.CreateEmptyApplicationBuilder(new HostApplicationBuilderSettings { ContentRootPath = AppContext.BaseDirectory, DisableDefaults = true });
        builder.Services.AddSystemd();
        builder.Logging.AddConsole();
        var isService = SystemdHelpers.IsSystemdService();
        builder.Services.AddFixed(new ConsoleLoggerOptions { LogToStandardErrorThreshold = LogLevel.Trace, FormatterName = isService ? ConsoleFormatterNames.Systemd : ConsoleFormatterNames.Simple });
        builder.Services.AddFixed(new SimpleConsoleFormatterOptions
        {
            SingleLine = true,
            TimestampFormat = "yyyy-MM-ddTHH:mm:ss.fffZ ",
            UseUtcTimestamp = true,
            ColorBehavior = LoggerColorBehavior.Disabled,
        });
        builder.Services.AddFixed(new JsonConsoleFormatterOptions());
        builder.Services.AddFixed(new ConsoleFormatterOptions());
        builder.Services.AddFixed(new LoggerFactoryOptions());
        builder.Services.AddFixed(new LoggerFilterOptions { MinLevel = level, Rules = { new LoggerFilterRule(null, "Microsoft.Hosting", LogLevel.Warning, null) } });
        builder.Services.AddFixed(new ConsoleLifetimeOptions());
        builder.Services.AddFixed(new HostOptions { ShutdownTimeout = ShutdownTimeout });
        return builder;
    }

    /// <summary>The whole daemon, ready to be started.</summary>
    /// <param name="roots">Where the kernel is; null: here.</param>
    internal static IHost BuildHost(GatewayConfiguration configuration, ServeArguments arguments, LogLevel level, KernelRoots? roots = null)
    {
        var builder = NewHostBuilder(level);
        builder.Services.AddSingleton<TimeProvider>(BootTimeProvider.Instance);
        builder.Services.AddSingleton(configuration);
        builder.Services.AddSingleton(arguments);
        builder.Services.AddSingleton(roots ?? new KernelRoots());
        builder.Services.AddSingleton<StoreSet>();
        var events = new EventLog(TimeProvider.System);
        builder.Logging.AddProvider(events);
        builder.Services.AddSingleton(events);
        builder.Services.AddSingleton<IMetricSource, DaemonMetricSource>();
        builder.AddTelemetry(configuration.Telemetry, GatewayConfiguration.Variables(), after: s => s.GetRequiredService<GatewayService>().Settled);
        builder.Services.AddSingleton<GatewayService>();
        builder.Services.AddSingleton<HealthServiceImpl>();
        builder.Services.AddSingleton(s => new Watchdog(Environment.GetEnvironmentVariable, s.GetRequiredService<TimeProvider>()));
        builder.Services.AddSingleton<HealthWatch>();
        builder.Services.AddHostedService(s => s.GetRequiredService<HealthWatch>()); // Before the devices: it is stopped after them, and they may take their time.
        builder.Services.AddHostedService(s => s.GetRequiredService<GatewayService>());
        builder.Services.AddSingleton(new ExportBook(configuration.StateDirectory));
        builder.Services.AddSingleton(s => new LioReconciler(
            new KernelConfigfs(), new Modprobe(), new LioOptions { ConfigfsRoot = s.GetRequiredService<KernelRoots>().Configfs, SysfsRoot = s.GetRequiredService<KernelRoots>().Sysfs }, TimeProvider.System, s.GetRequiredService<ILoggerFactory>().CreateLogger("Gateway.Lio")));
        builder.Services.AddSingleton<TargetKeeper>();
        builder.Services.AddHostedService(s => s.GetRequiredService<TargetKeeper>());
        builder.Services.AddSingleton<TargetAdmin>();
        builder.Services.AddSingleton<ControlService>();
        builder.Services.AddHostedService(s => new ControlServer(configuration, s.GetRequiredService<GatewayService>().Settled, s.GetRequiredService<ControlService>(), s.GetRequiredService<ILoggerFactory>(), s.GetRequiredService<HealthServiceImpl>()));
        builder.Services.AddSingleton<SampleHistory>();
        builder.Services.AddHostedService(s => s.GetRequiredService<SampleHistory>());
        builder.Services.AddSingleton<HttpEndpoints>();
        builder.Services.AddHostedService(s => new HttpServer(configuration.Telemetry, s.GetRequiredService<GatewayService>().Settled, s.GetRequiredService<HttpEndpoints>, TimeProvider.System, s.GetRequiredService<ILoggerFactory>()));
        return builder.Build();
    }
}
