using Gateway.Scsi;
using Gateway.Scsi.Interop;
using Gateway.Volumes.Cache;
using Gateway.Volumes.Journal;
using Xunit;

namespace Gateway.Volumes.Tests.Cache;

/// <summary>Cache files on a real disk.</summary>
public sealed class LocalCacheDirectoryTests : IDisposable
{
    private const int LengthBytes = 64 << 10;

    private readonly string _parent = Directory.CreateTempSubdirectory().FullName;

    private string Path => System.IO.Path.Combine(_parent, "cache");

    [Fact]
    public async Task Open_FileWrittenBefore_KeepsItsContent()
    {
        var directory = new LocalCacheDirectory(Path);
        using (var disk = directory.Open("a", LengthBytes)) await WriteAsync(disk, 7, 4096);

        using var again = directory.Open("a", LengthBytes);

        var read = new byte[4096];
        await again.ReadAsync(read, 4096);
        Assert.All(read, b => Assert.Equal(7, b));
    }

    [Fact]
    public async Task Open_FileOfAnotherLength_StartsAnew()
    {
        var directory = new LocalCacheDirectory(Path);
        using (var disk = directory.Open("a", LengthBytes)) await WriteAsync(disk, 7, 4096);

        using var longer = directory.Open("a", 2 * LengthBytes);

        var read = new byte[2 * LengthBytes];
        await longer.ReadAsync(read, 0);
        Assert.Equal(2 * LengthBytes, longer.LengthBytes);
        Assert.All(read, b => Assert.Equal(0, b));
    }

    [Fact]
    public void Open_FileInUse_IsRefused()
    {
        var directory = new LocalCacheDirectory(Path);
        using var disk = directory.Open("a", LengthBytes);

        Assert.Throws<IOException>(() => directory.Open("a", LengthBytes));
    }

    [Fact]
    public void Open_NewDirectory_IsItsOwnersAlone()
    {
        using var disk = new LocalCacheDirectory(Path).Open("a", LengthBytes);

        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute, File.GetUnixFileMode(Path));
    }

    [Fact]
    public async Task Read_BeyondTheEnd_IsAnError()
    {
        using var disk = new LocalCacheDirectory(Path).Open("a", LengthBytes);

        await Assert.ThrowsAsync<IOException>(async () => await disk.ReadAsync(new byte[4096], LengthBytes - 100));
    }

    public void Dispose() => Directory.Delete(_parent, recursive: true);

    private static async Task WriteAsync(IJournalDisk disk, byte value, long offsetBytes)
    {
        using var buffer = new NativeBuffer(4096);
        buffer.Span.Fill(value);
        var list = new ScatterList();
        list.Add(buffer);
        await disk.WriteAsync(list, offsetBytes);
    }
}
