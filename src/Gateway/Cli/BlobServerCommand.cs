using System.CommandLine;
using System.ComponentModel.DataAnnotations;
using System.Text.Json;
using System.Text.Json.Nodes;
using Gateway.Backends.Core;
using Gateway.Backends.Grpc;
using Gateway.Backends.Grpc.Server;
using Gateway.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Gateway.Cli;

/// <summary><c>blob-server</c>: offers a store over gRPC, and checks such a server.</summary>
internal static class BlobServerCommand
{
    public static Command Build()
    {
        var store = new Argument<string>("STORE") { Description = "The store to offer, by its name in the configuration." };
        var listen = new Option<string>("--listen", "-l") { Description = "http(s)://IP:PORT, http(s)://localhost:PORT or unix:///PATH. 0.0.0.0 and [::] stand for all addresses.", Required = true, HelpName = "ADDRESS" };
        var certificate = FileOption("--tls-certificate", "The server's certificate (PEM), followed by those between it and its authority. For https.");
        var key = FileOption("--tls-key", "Its private key (PEM).");
        var clientCa = FileOption("--client-ca", "Clients need a certificate that comes from an authority in this file (PEM). Its common name is the tenant, unless tokens tell.");
        var tokens = FileOption("--tokens", "Clients need a bearer token of this file: lines TENANT:SHA256, the hash of the token in hexadecimal digits.");
        var insecure = new Option<bool>("--insecure") { Description = "Allow an address that other machines can reach without TLS, or without knowing who calls." };
        var verbose = new Option<bool>("--verbose", "-v") { Description = "Log at debug level." };
        var command = new Command("blob-server", "Offers a store of the configuration over gRPC, to gateways on other machines, in the foreground.") { store, listen, certificate, key, clientCa, tokens, insecure, verbose };
        command.Subcommands.Add(BuildCheck());
        command.SetAction((result, cancellation) => CommandLine.RunAsync(
            async () =>
            {
                var options = new BlobServerOptions
                {
                    Listen = result.GetValue(listen)!,
                    CertificateFile = result.GetValue(certificate),
                    KeyFile = result.GetValue(key),
                    ClientCaFile = result.GetValue(clientCa),
                    TokensFile = result.GetValue(tokens),
                    Insecure = result.GetValue(insecure),
                };
                RefuseFaults(options.Validate(new ValidationContext(options, "blob-server", null, null)));
                await using var stores = new StoreSet(GatewayConfiguration.Load(result.GetValue(CommandLine.ConfigOption)!), TimeProvider.System);
                await using var plain = stores.OpenPlain(result.GetValue(store)!);
                using var logging = ServeCommand.NewHostBuilder(result.GetValue(verbose) ? LogLevel.Debug : LogLevel.Warning).Build();
                await using var server = await BlobServer.StartAsync(plain, options, TimeProvider.System, logging.Services.GetRequiredService<ILoggerFactory>(), cancellation);
                await result.InvocationConfiguration.Output.WriteLineAsync($"Offering {plain.Description} at {server.Address}");
                await result.InvocationConfiguration.Output.FlushAsync(CancellationToken.None);
                var stopped = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
                await using var registration = cancellation.Register(stopped.SetResult);
                await stopped.Task;
            },
            result.InvocationConfiguration.Error));
        return command;
    }

    private static Command BuildCheck()
    {
        var address = new Argument<string>("ADDRESS") { Description = "The server: http(s)://HOST:PORT or unix:///PATH." };
        var ca = FileOption("--ca", "The authorities (PEM) that the server's certificate must come from.");
        var certificate = FileOption("--tls-certificate", "The client's certificate (PEM).");
        var key = FileOption("--tls-key", "Its private key (PEM).");
        var token = FileOption("--token-file", "A file that holds the bearer token and nothing else.");
        var timeout = new Option<double>("--request-timeout") { Description = "Seconds for one request with all its bytes, 72 MiB at most.", HelpName = "SECONDS", DefaultValueFactory = _ => new GrpcStoreOptions().RequestTimeout.TotalSeconds };
        timeout.Validators.Add(r =>
        {
            if (r.GetValueOrDefault<double>() is not (>= 1 and <= 3600)) r.AddError("--request-timeout: from 1 to 3600 seconds.");
        });
        var form = VolumeCommands.OutputOption();
        var command = new Command("check", "Tries everything that the interface promises (proto/blobstore.proto) on a running server, in some 2,000 requests with 100 MiB below .check-*.") { address, ca, certificate, key, token, timeout, form };
        command.SetAction((result, cancellation) => CommandLine.RunAsync(
            async () =>
            {
                var options = new GrpcStoreOptions
                {
                    Address = result.GetValue(address)!,
                    CaFile = Full(result.GetValue(ca)),
                    ClientCertificateFile = Full(result.GetValue(certificate)),
                    ClientKeyFile = Full(result.GetValue(key)),
                    TokenFile = Full(result.GetValue(token)),
                    RequestTimeout = TimeSpan.FromSeconds(result.GetValue(timeout)),
                };
                RefuseFaults(options.Validate(new ValidationContext(options, "check", null, null)));
                var output = result.InvocationConfiguration.Output;
                if (result.GetValue(form) == VolumeCommands.JsonOutput)
                {
                    var all = await BlobServerCheck.RunAsync(options, new Random(Environment.ProcessId), _ => { }, cancellation);
                    await output.WriteLineAsync(VolumeCommands.Indented(new JsonArray([.. all.Select(r => new JsonObject { ["name"] = r.Name, ["passed"] = r.Passed, ["fault"] = r.Fault })])));
                    return all.All(r => r.Passed) ? 0 : CommandLine.ExitFailed;
                }

                var results = await BlobServerCheck.RunAsync(options, new Random(Environment.ProcessId), r => output.WriteLine($"{(r.Passed ? "pass" : "FAIL")}  {r.Name}{(r.Passed ? "" : $"\n      {r.Fault}")}"), cancellation);
                var failed = results.Count(r => !r.Passed);
                await output.WriteLineAsync($"{results.Count - failed} passed, {failed} failed");
                return failed == 0 ? 0 : CommandLine.ExitFailed;
            },
            result.InvocationConfiguration.Error));
        return command;
    }

    private static Option<string?> FileOption(string name, string description) => new(name) { Description = description, HelpName = "FILE" };

    private static string? Full(string? path) => path is null ? null : Path.GetFullPath(path);

    private static void RefuseFaults(IEnumerable<ValidationResult> faults)
    {
        var words = faults.Select(f => $"{string.Join(", ", f.MemberNames.Select(OptionOf))}: {f.ErrorMessage}").ToArray();
        if (words.Length > 0) throw new ConfigurationException(string.Join("\ntcmu-gateway: ", words));
    }

    /// <summary>What people have typed for an option's property.</summary>
    private static string OptionOf(string property) => property switch
    {
        nameof(BlobServerOptions.CertificateFile) or nameof(GrpcStoreOptions.ClientCertificateFile) => "--tls-certificate",
        nameof(BlobServerOptions.KeyFile) or nameof(GrpcStoreOptions.ClientKeyFile) => "--tls-key",
        nameof(BlobServerOptions.ClientCaFile) => "--client-ca",
        nameof(GrpcStoreOptions.CaFile) => "--ca",
        nameof(GrpcStoreOptions.Address) => "ADDRESS",
        _ => "--" + JsonNamingPolicy.KebabCaseLower.ConvertName(property),
    };
}
