using Gateway.Configuration;
using Gateway.Tcmu;
using Microsoft.Extensions.Logging;

namespace Gateway.Serving;

/// <summary>The configuration file, read again while it is in use.</summary>
internal static class ConfigurationReload
{
    /// <summary>What holds from now on; null, with the fault logged, if the file is missing or wrong: then nothing changes. Settings that need a restart are logged and left as they are.</summary>
    public static GatewayConfiguration? Read(string file, GatewayConfiguration present, ILogger logger)
    {
        try
        {
            var next = present.With(GatewayConfiguration.Load(file), out var needsRestart);
            if (needsRestart.Count == 0) ServingLog.Reloaded(logger, file);
            else ServingLog.NeedsRestart(logger, file, string.Join(", ", needsRestart));
            return next;
        }
        catch (ConfigurationException e)
        {
            ServingLog.ReloadRefused(logger, e.Message);
            return null;
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
