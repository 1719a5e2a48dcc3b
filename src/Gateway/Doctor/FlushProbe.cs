using System.Runtime.InteropServices;
using Gateway.Interop;

namespace Gateway.Doctor;

/// <summary>Measures what a flush costs in a directory, with a file of its own that is gone afterwards.</summary>
internal static class FlushProbe
{
    private const int Rounds = 50;
    private const int PageBytes = 4096;

    /// <summary>A disk so slow that the rounds take longer is known well enough by then.</summary>
    private static readonly TimeSpan TimeMax = TimeSpan.FromSeconds(5);

    /// <summary>Times of writes of 4 KiB with their fdatasync, as the journal does them: into a part of the file that was written before.</summary>
    /// <exception cref="IOException">The directory cannot be written.</exception>
    /// <exception cref="UnauthorizedAccessException">The directory may not be written.</exception>
    public static Task<IReadOnlyList<TimeSpan>> RunAsync(string directory, TimeProvider time, CancellationToken cancellationToken) => Task.Run(() =>
    {
        var took = new List<TimeSpan>(Rounds);
        var path = Path.Combine(directory, $".tcmu-gateway-doctor-{Environment.ProcessId}");
        using var file = File.OpenHandle(path, FileMode.Create, FileAccess.ReadWrite, FileShare.None, FileOptions.DeleteOnClose);
        var page = new byte[PageBytes];
        new Random(Environment.ProcessId).NextBytes(page); // Zeroes might be left out by the disk.
        for (var i = 0; i < Rounds; i++) RandomAccess.Write(file, page, i * PageBytes);
        RandomAccess.FlushToDisk(file);
        var start = time.GetTimestamp();
        for (var i = 0; i < Rounds && time.GetElapsedTime(start) < TimeMax; i++)
        {
            cancellationToken.ThrowIfCancellationRequested();
            var before = time.GetTimestamp();
            RandomAccess.Write(file, page, i * PageBytes);
            if (Libc.FlushData(file) != 0) throw new IOException($"fdatasync in '{directory}': {Marshal.GetLastPInvokeErrorMessage()}");
            took.Add(time.GetElapsedTime(before));
        }

        return (IReadOnlyList<TimeSpan>)took;
    }, cancellationToken);
}
