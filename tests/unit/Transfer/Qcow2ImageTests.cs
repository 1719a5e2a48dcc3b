using System.Buffers.Binary;
using Gateway.Transfer.Images;
using Xunit;

namespace Gateway.Transfer.Tests;

/// <summary>Images that QEMU made read as QEMU reads them; no image, however damaged, does more than fail.</summary>
public sealed class Qcow2ImageTests : IDisposable
{
    private const long Size = (6 << 20) + 1536;

    private readonly Folder _folder = new();

    public void Dispose() => _folder.Dispose();

    [SkippableTheory]
    [InlineData("")]
    [InlineData("compat=0.10")]
    [InlineData("cluster_size=512")]
    [InlineData("cluster_size=2M")]
    [InlineData("extended_l2=on,cluster_size=128k")]
    [InlineData("preallocation=metadata")]
    [InlineData("preallocation=full")]
    [InlineData("lazy_refcounts=on")]
    [InlineData("", "-c")]
    [InlineData("cluster_size=4k", "-c")]
    [InlineData("cluster_size=2M", "-c")]
    [InlineData("compression_type=zstd", "-c")]
    [InlineData("compression_type=zstd,extended_l2=on", "-c")]
    public async Task Read_WhatQemuMade_IsTheDisk(string options, params string[] more)
    {
        RequireQemu();
        var raw = _folder.WriteRaw("disk.raw", Size, 7);
        string[] with = options.Length > 0 ? ["-o", options] : [];
        _folder.Run("qemu-img", ["convert", "-f", "raw", "-O", "qcow2", .. with, .. more, "disk.raw", "disk.qcow2"]);

        await using var image = await Qcow2Image.OpenAsync(_folder.File("disk.qcow2"), default);

        // QEMU rounds a disk up to sectors of 512 bytes.
        var expected = new byte[image.SizeBytes];
        (await File.ReadAllBytesAsync(raw)).CopyTo(expected, 0);
        Assert.Equal(Size, image.SizeBytes);
        await AssertReadsAsync(image, expected);
    }

    [SkippableTheory]
    [InlineData("")]
    [InlineData("extended_l2=on,cluster_size=64k")]
    public async Task Read_WrittenInPlaceZeroedAndSnapshotted_IsTheDiskAsItIsNow(string options)
    {
        RequireQemu();
        string[] with = options.Length > 0 ? ["-o", options] : [];
        _folder.Run("qemu-img", ["create", "-f", "qcow2", .. with, "disk.qcow2", "8M"]);
        _folder.Run("qemu-io", "-c", "write -P 0x11 0 3M", "-c", "write -z 1M 256k", "-c", "write -P 0x22 1M 4k", "disk.qcow2");
        _folder.Run("qemu-img", "snapshot", "-c", "before", "disk.qcow2");
        _folder.Run("qemu-io", "-c", "write -P 0x33 5M 70k", "-c", "write -P 0x44 2k 2k", "-c", "discard 2M 64k", "disk.qcow2");
        _folder.Run("qemu-img", "convert", "-f", "qcow2", "-O", "raw", "disk.qcow2", "disk.raw");

        await using var image = await Qcow2Image.OpenAsync(_folder.File("disk.qcow2"), default);

        await AssertReadsAsync(image, await File.ReadAllBytesAsync(_folder.File("disk.raw")));
    }

    [SkippableFact]
    public async Task Open_WithABackingFile_IsRefusedAndSaysWhatToDo()
    {
        RequireQemu();
        _folder.Run("qemu-img", "create", "-f", "raw", "base.raw", "1M");
        _folder.Run("qemu-img", "create", "-f", "qcow2", "-b", "base.raw", "-F", "raw", "disk.qcow2");

        var e = await Assert.ThrowsAsync<ImageException>(() => Qcow2Image.OpenAsync(_folder.File("disk.qcow2"), default));

        Assert.Contains("qemu-img convert", e.Message, StringComparison.Ordinal);
    }

    [SkippableFact]
    public async Task Open_WithItsDataElsewhereOrEncrypted_IsRefused()
    {
        RequireQemu();
        _folder.Run("qemu-img", "create", "-f", "qcow2", "-o", "data_file=data.raw", "outside.qcow2", "1M");
        _folder.Run("qemu-img", "create", "-f", "qcow2", "secret.qcow2", "1M");
        // qemu-img itself measures the processor to make a key, and gives up where it gets too little of it.
        using (var header = File.OpenHandle(_folder.File("secret.qcow2"), access: FileAccess.Write)) RandomAccess.Write(header, new byte[] { 0, 0, 0, 2 }, 32); // crypt_method: LUKS

        Assert.Contains("another file", (await Assert.ThrowsAsync<ImageException>(() => Qcow2Image.OpenAsync(_folder.File("outside.qcow2"), default))).Message, StringComparison.Ordinal);
        Assert.Contains("encrypted", (await Assert.ThrowsAsync<ImageException>(() => Qcow2Image.OpenAsync(_folder.File("secret.qcow2"), default))).Message, StringComparison.Ordinal);
    }

    /// <summary>Any byte of header and tables may be anything: it reads, or it is refused.</summary>
    [SkippableTheory]
    [InlineData("cluster_size=4k")]
    [InlineData("cluster_size=16k,extended_l2=on,compression_type=zstd", "-c")]
    [InlineData("cluster_size=4k", "-c")]
    public async Task Read_DamagedAnywhere_FailsCleanly(string options, params string[] more)
    {
        RequireQemu();
        _folder.WriteRaw("disk.raw", 1 << 20, 3);
        _folder.Run("qemu-img", ["convert", "-f", "raw", "-O", "qcow2", "-o", options, .. more, "disk.raw", "disk.qcow2"]);
        var whole = await File.ReadAllBytesAsync(_folder.File("disk.qcow2"));
        var random = new Random(11);
        var refused = 0;
        for (var i = 0; i < 600; i++)
        {
            var bytes = (byte[])whole.Clone();
            for (var n = random.Next(1, 4); n > 0; n--)
            {
                // Half of it in the header, where a few bytes decide about everything.
                var at = random.Next(2) == 0 ? random.Next(112) : random.Next(bytes.Length);
                bytes[at] = (byte)random.Next(256);
            }

            if (random.Next(8) == 0) bytes = bytes[..random.Next(bytes.Length)];
            await File.WriteAllBytesAsync(_folder.File("damaged.qcow2"), bytes);
            try
            {
                await using var image = await Qcow2Image.OpenAsync(_folder.File("damaged.qcow2"), default);
                var buffer = new byte[64 << 10];
                for (long position = 0, end = Math.Min(image.SizeBytes, 2 << 20); position < end;)
                {
                    var extent = await image.FindAsync(position, default);
                    Assert.InRange(extent.LengthBytes, 1, image.SizeBytes - position);
                    var length = (int)Math.Min(Math.Min(extent.LengthBytes, buffer.Length), end - position);
                    await image.ReadAsync(position, buffer.AsMemory(0, length), default);
                    position += length;
                }
            }
            catch (ImageException)
            {
                refused++;
            }
        }

        Assert.InRange(refused, 50, 599);
    }

    [Fact]
    public async Task Open_TablesLargerThanMemory_IsRefusedBeforeTheyAreRead()
    {
        var header = new byte[112];
        BinaryPrimitives.WriteUInt32BigEndian(header, 0x514649FB);
        BinaryPrimitives.WriteUInt32BigEndian(header.AsSpan(4), 3);
        BinaryPrimitives.WriteUInt32BigEndian(header.AsSpan(20), 16);
        BinaryPrimitives.WriteUInt64BigEndian(header.AsSpan(24), 1 << 30);
        BinaryPrimitives.WriteUInt32BigEndian(header.AsSpan(36), uint.MaxValue);
        await File.WriteAllBytesAsync(_folder.File("huge.qcow2"), header);

        await Assert.ThrowsAsync<ImageException>(() => Qcow2Image.OpenAsync(_folder.File("huge.qcow2"), default));
    }

    private static void RequireQemu() => Skip.IfNot(File.Exists("/usr/bin/qemu-img"), "no qemu-img here: scripts/packages.sh lab");

    /// <summary>Reads all of it by extents, and again by random pieces.</summary>
    internal static async Task AssertReadsAsync(DiskImage image, byte[] expected)
    {
        Assert.Equal(expected.Length, image.SizeBytes);
        for (long position = 0; position < image.SizeBytes;)
        {
            var extent = await image.FindAsync(position, default);
            Assert.InRange(extent.LengthBytes, 1, image.SizeBytes - position);
            var content = new byte[extent.LengthBytes];
            await image.ReadAsync(position, content, default);
            var wanted = expected.AsSpan((int)position, content.Length);
            Assert.True(wanted.SequenceEqual(content), $"it differs within {position}+{content.Length}");
            if (extent.IsZero) Assert.False(wanted.ContainsAnyExcept((byte)0), $"no zeroes at {position}+{content.Length}");
            position += content.Length;
        }

        var random = new Random(5);
        for (var i = 0; i < 200; i++)
        {
            var at = random.Next(expected.Length);
            var content = new byte[random.Next(1, Math.Min(400_000, expected.Length - at) + 1)];
            await image.ReadAsync(at, content, default);
            Assert.True(expected.AsSpan(at, content.Length).SequenceEqual(content), $"it differs within {at}+{content.Length}");
        }
    }
}
