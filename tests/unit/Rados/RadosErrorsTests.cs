using System.ComponentModel.DataAnnotations;
using Gateway.Backends.Core;
using Gateway.Backends.Rados.Index;
using Xunit;

namespace Gateway.Backends.Rados.Tests;

/// <summary>What librados says, in the words of a store.</summary>
public sealed class RadosErrorsTests
{
    private static readonly RadosStoreOptions Options = new() { Pool = "disks", User = "gateway" };

    [Theory]
    [InlineData(RadosErrors.ENOENT, BlobErrorKind.NotFound)]
    [InlineData(RadosErrors.EEXIST, BlobErrorKind.PreconditionFailed)]
    [InlineData(RadosErrors.EPERM, BlobErrorKind.AccessDenied)]
    [InlineData(RadosErrors.EACCES, BlobErrorKind.AccessDenied)]
    [InlineData(RadosErrors.EAGAIN, BlobErrorKind.Throttled)]
    [InlineData(RadosErrors.EBUSY, BlobErrorKind.Throttled)]
    [InlineData(RadosErrors.ETIMEDOUT, BlobErrorKind.Unavailable)]
    [InlineData(RadosErrors.ENOSPC, BlobErrorKind.Unavailable)]
    [InlineData(RadosErrors.EDQUOT, BlobErrorKind.Unavailable)]
    [InlineData(RadosErrors.EIO, BlobErrorKind.Unavailable)]
    [InlineData(RadosErrors.ESHUTDOWN, BlobErrorKind.Unavailable)]
    [InlineData(RadosErrors.EFBIG, BlobErrorKind.Rejected)]
    [InlineData(RadosErrors.EMSGSIZE, BlobErrorKind.Rejected)]
    [InlineData(RadosErrors.EOPNOTSUPP, BlobErrorKind.Rejected)]
    [InlineData(RadosException.PoolMissing, BlobErrorKind.ContainerMissing)]
    [InlineData(77, BlobErrorKind.Unavailable)]
    public void From_Errno_HasItsKindAndNamesTheBlob(int errno, BlobErrorKind kind)
    {
        var error = RadosErrors.From(errno, "pool disks, blob 'log/1'", "putting", Options);

        Assert.Equal(kind, error.Kind);
        Assert.Contains("log/1", error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(RadosErrors.EACCES, BlobErrorKind.AccessDenied, "client.gateway")]
    [InlineData(RadosErrors.ENOENT, BlobErrorKind.AccessDenied, "keyring")]
    [InlineData(RadosErrors.EIO, BlobErrorKind.AccessDenied, "what is in it")]
    [InlineData(RadosErrors.ETIMEDOUT, BlobErrorKind.Unavailable, "No monitor answered within 5 s")]
    [InlineData(RadosErrors.EINVAL, BlobErrorKind.Rejected, "monitors")]
    public void Connecting_Errno_SaysWhatToLookAt(int errno, BlobErrorKind kind, string words)
    {
        var error = RadosErrors.Connecting(errno, "pool disks", Options);

        Assert.Equal(kind, error.Kind);
        Assert.Contains(words, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Entry_ToBytesAndBack_IsTheSame()
    {
        foreach (var entry in (IndexEntry[])[new(true, 8 << 20, new UInt128(1, 2)), new(false, 1_800_000_000, UInt128.MaxValue), new(true, 0, 0)])
        {
            Assert.Equal(IndexEntry.LengthBytes, entry.ToBytes().Length);
            Assert.True(IndexEntry.TryParse(entry.ToBytes(), out var parsed));
            Assert.Equal(entry, parsed);
        }
    }

    [Fact]
    public void Entry_OfOtherBytes_IsNone()
    {
        var good = new IndexEntry(true, 5, 7).ToBytes();
        Assert.False(IndexEntry.TryParse([], out _));
        Assert.False(IndexEntry.TryParse(good.AsSpan(1), out _));
        Assert.False(IndexEntry.TryParse([.. good, 0], out _));
        Assert.False(IndexEntry.TryParse([(byte)'X', .. good[1..]], out _));
        Assert.False(IndexEntry.TryParse([.. good[..8], 0x80, .. good[9..]], out _));
    }

    [Fact]
    public void Options_OutOfRange_AreToldTogether()
    {
        var options = new RadosStoreOptions { User = "client.admin", Namespace = "a\nb", KeyringFile = "keyring", RequestTimeout = TimeSpan.Zero };

        var faults = options.Validate(new ValidationContext(options)).SelectMany(f => f.MemberNames);

        Assert.Equal([nameof(options.Pool), nameof(options.User), nameof(options.Namespace), nameof(options.KeyringFile), nameof(options.RequestTimeout)], faults);
    }
}
