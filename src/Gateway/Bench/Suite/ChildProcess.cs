using System.ComponentModel;
using System.Diagnostics;

namespace Gateway.Bench.Suite;

/// <summary>Runs a program to its end.</summary>
internal static class ChildProcess
{
    /// <summary>Its standard output.</summary>
    /// <param name="program">A name on PATH, or a path.</param>
    /// <param name="arguments">Its arguments.</param>
    /// <param name="timeLimit">It is killed after this, with its children.</param>
    /// <param name="remedy">What to do where it is missing.</param>
    /// <param name="cancellationToken">Kills it, too.</param>
    /// <exception cref="SuiteException">It is missing, failed, or took too long; the message has the last line of its standard error.</exception>
    public static async Task<string> RunAsync(string program, IEnumerable<string> arguments, TimeSpan timeLimit, string remedy, CancellationToken cancellationToken)
    {
        var start = new ProcessStartInfo(program) { RedirectStandardOutput = true, RedirectStandardError = true };
        foreach (var argument in arguments) start.ArgumentList.Add(argument);
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        limit.CancelAfter(timeLimit);
        try
        {
            using var process = Process.Start(start)!;
            await using var kill = limit.Token.Register(() => process.Kill(entireProcessTree: true));
            var lastError = ReadErrorsAsync(process.StandardError);
            var output = await process.StandardOutput.ReadToEndAsync(CancellationToken.None);
            var error = await lastError;
            await process.WaitForExitAsync(CancellationToken.None);
            cancellationToken.ThrowIfCancellationRequested();
            if (limit.IsCancellationRequested) throw new SuiteException($"it took longer than {timeLimit.TotalSeconds:0} s");
            return process.ExitCode == 0 ? output : throw new SuiteException(error.Length > 0 ? error : $"'{program}' ended with exit code {process.ExitCode}");
        }
        catch (Win32Exception e)
        {
            throw new SuiteException($"'{program}' cannot be run ({e.Message}): {remedy}");
        }
    }

    /// <summary>Passes progress on, which is indented, and gives the last line that is none.</summary>
    private static async Task<string> ReadErrorsAsync(StreamReader errors)
    {
        var last = "";
        while (await errors.ReadLineAsync() is { } line)
        {
            if (line.StartsWith("    ", StringComparison.Ordinal)) await Console.Error.WriteLineAsync(line);
            else if (line.Length > 0) last = line;
        }

        return last;
    }
}
