using System.Diagnostics.CodeAnalysis;
using System.Security.Cryptography;
using System.Text;
using Gateway.Backends.Core;

namespace Gateway.Backends.Grpc.Server;

/// <summary>The tenants and the SHA-256 of their tokens: a file of lines <c>tenant:hex</c>, several for one tenant if need be; '#' begins a comment.</summary>
/// <remarks>
/// A plain hash is enough for a token that is random and long (<c>openssl rand -hex 32</c>), and says nothing to who reads the file. All hashes are
/// compared with every token, each in constant time.
/// </remarks>
internal sealed class TenantList
{
    /// <summary>Longest name of a tenant: what it takes is missing from its keys.</summary>
    public const int NameLengthMax = 63;

    private readonly List<(string Tenant, byte[] Hash)> _tokens = [];

    private TenantList()
    {
    }

    /// <summary>True for what can stand before a tenant's keys as their first segment.</summary>
    public static bool IsValidName(string name) => name.Length <= NameLengthMax && !name.Contains('/') && BlobKey.IsValid(name);

    /// <exception cref="BlobStoreException">The file cannot be read, or a line is wrong; the message names the line and not what is in it.</exception>
    public static TenantList Load(string path)
    {
        try
        {
            return Parse(File.ReadAllText(path), path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new BlobStoreException(BlobErrorKind.AccessDenied, $"The tokens cannot be read from {path}: {e.Message}");
        }
    }

    public static TenantList Parse(string text, string path)
    {
        var list = new TenantList();
        var number = 0;
        foreach (var line in text.Split('\n', StringSplitOptions.TrimEntries))
        {
            number++;
            if (line.Length == 0 || line[0] == '#') continue;
            var hash = new byte[SHA256.HashSizeInBytes];
            if (line.Split(':') is not [var tenant, { Length: 2 * SHA256.HashSizeInBytes } hex] || !IsValidName(tenant)
                || Convert.FromHexString(hex, hash, out _, out _) != System.Buffers.OperationStatus.Done)
                throw new BlobStoreException(BlobErrorKind.Rejected, $"{path}, line {number}: write TENANT:SHA256, the name of letters, digits, '.', '_' and '-', the hash of the token as 64 hexadecimal digits (printf %s \"$token\" | sha256sum).");
            list._tokens.Add((tenant, hash));
        }

        return list._tokens.Count > 0 ? list : throw new BlobStoreException(BlobErrorKind.Rejected, $"{path} names no tenant: nobody could use the server.");
    }

    /// <summary>Whose token it is.</summary>
    public bool TryFind(ReadOnlySpan<char> token, [NotNullWhen(true)] out string? tenant)
    {
        var bytes = new byte[Encoding.UTF8.GetMaxByteCount(token.Length)];
        Span<byte> hash = stackalloc byte[SHA256.HashSizeInBytes];
        SHA256.HashData(bytes.AsSpan(0, Encoding.UTF8.GetBytes(token, bytes)), hash);
        tenant = null;
        foreach (var known in _tokens)
            if (CryptographicOperations.FixedTimeEquals(hash, known.Hash)) tenant = known.Tenant;
        return tenant is not null;
    }
}
