using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Gateway.Backends.Core;
using Grpc.Core;
using Microsoft.AspNetCore.Connections.Features;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace Gateway.Backends.Grpc.Server;

/// <summary>Tells who calls, and so which part of the store is theirs.</summary>
/// <remarks>
/// With a client authority, the call's connection must have shown a certificate that comes from it; with tokens, the call must carry one; with both,
/// both. The tenant is the token's, or else the common name of the certificate's subject. With neither there is one tenant, who has the whole store.
/// TLS itself takes any certificate, and proves that the caller has its key: whether it is one of ours is decided here, so that a refusal can be
/// told in words.
/// </remarks>
internal sealed class TenantGate
{
    private const string Bearer = "Bearer ";
    private const string ClientAuthentication = "1.3.6.1.5.5.7.3.2";
    private static readonly object VerdictKey = new();

    private readonly WatchedFile<TenantList>? _tokens;
    private readonly WatchedFile<X509Certificate2Collection>? _authorities;
    private readonly ILogger _logger;

    /// <exception cref="BlobStoreException">A file is missing or wrong.</exception>
    public TenantGate(BlobServerOptions options, ILogger logger)
    {
        _logger = logger;
        if (options.TokensFile is { } tokens) _tokens = new WatchedFile<TenantList>(() => TenantList.Load(tokens), tokens);
        if (options.ClientCaFile is { } ca) _authorities = new WatchedFile<X509Certificate2Collection>(() => PemFiles.LoadAuthorities(ca), ca);
        _tokens?.Get();
        _authorities?.Get();
    }

    /// <summary>The prefix of the caller's keys: the tenant and a '/', or nothing.</summary>
    /// <exception cref="RpcException">UNAUTHENTICATED.</exception>
    public string PrefixFor(HttpContext context)
    {
        try
        {
            var subject = _authorities is null ? null : SubjectOf(context, _authorities.Get());
            if (_tokens is null) return subject is null ? "" : subject + "/";
            return TenantOf(context, _tokens.Get()) + "/";
        }
        catch (BlobStoreException e)
        {
            // A file that was replaced by a bad one: nobody gets in until it is right again.
            BlobServerLog.CredentialsUnreadable(_logger, e.Message);
            throw BlobStatus.ToRpc(BlobErrorKind.Unavailable, "The server cannot read its own list of clients; its log says why.");
        }
    }

    private static string TenantOf(HttpContext context, TenantList tokens)
    {
        var header = context.Request.Headers.Authorization;
        if (header.Count != 1 || header[0] is not { } value || !value.StartsWith(Bearer, StringComparison.OrdinalIgnoreCase))
            throw BlobStatus.Unauthenticated("A bearer token is needed.");
        return tokens.TryFind(value.AsSpan(Bearer.Length), out var tenant) ? tenant : throw BlobStatus.Unauthenticated("The token is not known here.");
    }

    /// <summary>Looked at once for each connection: the chain of signatures takes a millisecond.</summary>
    private static string SubjectOf(HttpContext context, X509Certificate2Collection authorities)
    {
        var items = context.Features.Get<IConnectionItemsFeature>()?.Items;
        if (items?.TryGetValue(VerdictKey, out var known) == true && known is Verdict verdict && ReferenceEquals(verdict.Authorities, authorities)) return verdict.Subject;
        if (context.Connection.ClientCertificate is not { } certificate) throw BlobStatus.Unauthenticated("A client certificate is needed.");

        using var chain = new X509Chain();
        chain.ChainPolicy.TrustMode = X509ChainTrustMode.CustomRootTrust;
        chain.ChainPolicy.CustomTrustStore.AddRange(authorities);
        chain.ChainPolicy.RevocationMode = X509RevocationMode.NoCheck;
        chain.ChainPolicy.DisableCertificateDownloads = true;
        chain.ChainPolicy.ApplicationPolicy.Add(new Oid(ClientAuthentication));
        if (!chain.Build(certificate))
            throw BlobStatus.Unauthenticated($"The client certificate is not accepted: {string.Join(", ", chain.ChainStatus.Select(s => s.Status))}.");
        var subject = certificate.GetNameInfo(X509NameType.SimpleName, forIssuer: false);
        if (!TenantList.IsValidName(subject)) throw BlobStatus.Unauthenticated("The client certificate's common name is no name of a tenant: letters, digits, '.', '_' and '-'.");
        if (items is not null) items[VerdictKey] = new Verdict(authorities, subject);
        return subject;
    }

    private sealed record Verdict(X509Certificate2Collection Authorities, string Subject);
}
