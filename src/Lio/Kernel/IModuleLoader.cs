using System.ComponentModel;
using System.Diagnostics;

namespace Gateway.Lio;

/// <summary>Loads kernel modules. A seam for tests.</summary>
public interface IModuleLoader
{
    /// <summary>Loads a module with what it needs; does nothing if it is loaded or built in.</summary>
    /// <exception cref="IOException">It cannot be loaded; the message says why and what to do.</exception>
    void Load(string module);
}

/// <summary>Loads modules with modprobe(8).</summary>
public sealed class Modprobe : IModuleLoader
{
    /// <summary>Loading takes milliseconds; one that takes longer than this hangs.</summary>
    private static readonly TimeSpan WaitMax = TimeSpan.FromSeconds(30);

    public void Load(string module)
    {
        try
        {
            using var process = Process.Start(new ProcessStartInfo("modprobe", ["--", module]) { RedirectStandardError = true })
                ?? throw new IOException("modprobe does not start.");
            var error = process.StandardError.ReadToEnd().Trim();
            if (!process.WaitForExit(WaitMax)) throw new IOException($"modprobe {module} does not end.");
            if (process.ExitCode != 0)
                throw new IOException($"this kernel does not load the module {module} ({(error.Length > 0 ? error : $"modprobe ended with {process.ExitCode}")}). In a container, load it on the host: modprobe {module}.");
        }
        catch (Win32Exception e)
        {
            throw new IOException($"modprobe cannot be run ({e.Message}). Load the module by hand: modprobe {module}.", e);
        }
    }
}
