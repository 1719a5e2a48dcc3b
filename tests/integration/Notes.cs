namespace Gateway.Integration.Tests;

/// <summary>What a run of the tests should tell a person besides who passed: scripts/test.sh prints it before its last line.</summary>
internal static class Notes
{
    private static readonly string? File = Environment.GetEnvironmentVariable("TEST_NOTES");
    private static readonly Lock Writing = new();

    public static void Say(string line)
    {
        Console.WriteLine(line);
        if (File is null) return;
        lock (Writing) System.IO.File.AppendAllText(File, line + "\n");
    }
}
