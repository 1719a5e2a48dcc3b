using Gateway.Configuration;

namespace Gateway.Cli;

/// <summary>Questions before what cannot be undone.</summary>
internal static class Confirmation
{
    /// <summary>Returns if the answer is yes.</summary>
    /// <param name="question">What is asked.</param>
    /// <param name="yes">Whether the answer was given on the command line.</param>
    /// <exception cref="ConfigurationException">The answer is no, or there is nobody to ask.</exception>
    public static void Ask(string question, bool yes)
    {
        if (yes) return;
        if (Console.IsInputRedirected) throw new ConfigurationException($"{question} There is no terminal to ask at: say --yes.");
        Console.Error.Write($"{question} [y/N] ");
        if (Console.ReadLine()?.Trim().ToUpperInvariant() is not ("Y" or "YES")) throw new ConfigurationException("Nothing was changed.");
    }
}
