using Gateway.Configuration;
using Gateway.Tcmu;
using Microsoft.Extensions.Logging;

namespace Gateway.Serving;

/// <summary>The configuration file, read again while it is in use.</summary>
internal static class ConfigurationReload
{
    /// <summary>What holds from now on. Settings that need a restart are logged and left as they are.</summary>
    /// <exception cref="ConfigurationException">The file is missing or wrong; that was logged. Nothing is to change.</exception>
    public static GatewayConfiguration Read(string file, GatewayConfiguration present, ILogger logger, out IReadOnlyList<string> needsRestart)
    {
        try
        {
            var next = present.With(GatewayConfiguration.Load(file), out needsRestart);
            if (needsRestart.Count == 0) ServingLog.Reloaded(logger, file);
            else ServingLog.NeedsRestart(logger, file, string.Join(", ", needsRestart));
            return next;
        }
        catch (ConfigurationException e)
        {
            ServingLog.ReloadRefused(logger, e.Message);
            throw;
        }
    }

    /// <summary>The volume of a device; null if its configuration string names none.</summary>
    public static VolumePath? PathOf(TcmuDeviceName device)
    {
        try
        {
            return VolumePath.Parse(device.Path);
        }
        catch (ConfigurationException)
        {
            return null;
        }
    }
}
