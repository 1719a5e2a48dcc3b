using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Gateway.Backends.Core;

namespace Gateway.Backends.Grpc;

/// <summary>Certificates and keys from PEM files, with failures that say which file and what to do.</summary>
internal static class PemFiles
{
    /// <summary>All certificates of a file; at least one.</summary>
    /// <exception cref="BlobStoreException">There is none, or the file cannot be read.</exception>
    public static X509Certificate2Collection LoadAuthorities(string path)
    {
        var certificates = new X509Certificate2Collection();
        Read(path, () => certificates.ImportFromPemFile(path));
        return certificates.Count > 0 ? certificates : throw Bad(path, "there is no certificate in it");
    }

    /// <summary>A certificate with its private key.</summary>
    /// <exception cref="BlobStoreException">They cannot be read, or do not belong together.</exception>
    public static X509Certificate2 LoadCertificate(string path, string keyPath)
    {
        X509Certificate2? certificate = null;
        Read(path, () => certificate = X509Certificate2.CreateFromPemFile(path, keyPath), $" (key: {keyPath})");
        return certificate!;
    }

    /// <summary>What a certificate comes with in its file: the certificates of the authorities between it and a root.</summary>
    public static X509Certificate2Collection LoadChain(string path)
    {
        var all = LoadAuthorities(path);
        all.RemoveAt(0);
        return all;
    }

    private static void Read(string path, Action read, string more = "")
    {
        try
        {
            read();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or CryptographicException or ArgumentException)
        {
            throw Bad(path + more, e.Message);
        }
    }

    private static BlobStoreException Bad(string path, string why) =>
        new(BlobErrorKind.AccessDenied, $"{path} cannot be used: {why.TrimEnd('.')}. PEM files are wanted, readable by this process's user, the key without a password.");
}
