using System.Diagnostics;

namespace Gateway.Transfer.Tests;

/// <summary>A folder for one test, and what QEMU's tools make in it.</summary>
internal sealed class Folder : IDisposable
{
    public string Path { get; } = Directory.CreateTempSubdirectory("tcmu-gateway-transfer.").FullName;

    public string File(string name) => System.IO.Path.Combine(Path, name);

    /// <summary>A sparse file whose bytes tell where they are, with holes, zeroes and data that compresses.</summary>
    public string WriteRaw(string name, long sizeBytes, int seed)
    {
        var random = new Random(seed);
        using var file = System.IO.File.OpenHandle(File(name), FileMode.Create, FileAccess.ReadWrite);
        RandomAccess.SetLength(file, sizeBytes);
        for (var i = 0; i < 40; i++)
        {
            var piece = new byte[random.Next(1, 150_000)];
            switch (random.Next(3))
            {
                case 0: random.NextBytes(piece); break;
                case 1: Array.Fill(piece, (byte)random.Next(1, 256)); break;
            }

            var at = random.NextInt64(sizeBytes);
            RandomAccess.Write(file, piece.AsSpan(0, (int)Math.Min(piece.Length, sizeBytes - at)), at);
        }

        return File(name);
    }

    /// <summary>Runs qemu-img or qemu-io in this folder.</summary>
    public void Run(string program, params string[] arguments)
    {
        using var process = Process.Start(new ProcessStartInfo(program, arguments) { WorkingDirectory = Path, RedirectStandardOutput = true, RedirectStandardError = true })!;
        var output = process.StandardOutput.ReadToEndAsync();
        var error = process.StandardError.ReadToEnd();
        process.WaitForExit();
        if (process.ExitCode != 0) throw new InvalidOperationException($"{program} {string.Join(' ', arguments)}: {error}");
        _ = output;
    }

    public void Dispose() => Directory.Delete(Path, recursive: true);
}
