using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Gateway.Http;

/// <summary>A web server inside the daemon: it has the daemon's log, and no say in when the process ends.</summary>
internal static class InnerWebHost
{
    /// <summary>A builder that reads no file and no variable, and watches none.</summary>
    /// <param name="loggers">The daemon's; they stay the caller's.</param>
    public static WebApplicationBuilder NewBuilder(ILoggerFactory loggers)
    {
        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions { ContentRootPath = AppContext.BaseDirectory });
        builder.Services.AddSingleton<IHostLifetime, NoLifetime>(); // Signals are the daemon's.
        builder.Logging.SetMinimumLevel(LogLevel.Warning); // Every call and connection is logged below that.
        builder.Logging.AddProvider(new Forward(loggers));
        return builder;
    }

    private sealed class Forward(ILoggerFactory loggers) : ILoggerProvider
    {
        public ILogger CreateLogger(string categoryName) => loggers.CreateLogger(categoryName);

        public void Dispose()
        {
            // The factory is the daemon's.
        }
    }

    private sealed class NoLifetime : IHostLifetime
    {
        public Task WaitForStartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

        public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
    }
}
