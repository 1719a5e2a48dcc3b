using System.CommandLine;
using Gateway.Configuration;
using Gateway.Control;
using Gateway.Control.V1;
using Grpc.Core;
using Grpc.Health.V1;
using Grpc.Net.Client;

namespace Gateway.Cli;

/// <summary><c>health</c>: asks what runs here whether it lives, for container engines and scripts. Exit code 0: it does; 1: it does not, and one message says why.</summary>
/// <remarks>
/// Without an address the daemon is asked on its control socket. A store that is away or a volume that is not open does not make it unhealthy: a restart would not help.
/// A container's health check is part of its image and the same whatever runs in it, so the address may also come from the environment.
/// </remarks>
internal static class HealthCommand
{
    /// <summary>Holds the address where none is given.</summary>
    public const string AddressVariable = "TCMU_GATEWAY_HEALTH";

    /// <summary>Below the limit of the image's health check, so that the message is told.</summary>
    private static readonly TimeSpan AnswerMax = TimeSpan.FromSeconds(4);

    public static Command Build()
    {
        var address = new Argument<string?>("ADDRESS")
        {
            Description = $"http(s)://HOST:PORT/PATH: a page that answers with success; grpc://HOST:PORT: a blob server. Default: ${AddressVariable}, else the daemon's control socket.",
            Arity = ArgumentArity.ZeroOrOne,
            DefaultValueFactory = _ => Environment.GetEnvironmentVariable(AddressVariable),
        };
        var command = new Command("health", "Asks the running daemon, a page or a blob server whether it is alive: exit code 0 or 1.") { address };
        command.SetAction((result, cancellation) => CommandLine.RunAsync(
            async () =>
            {
                using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
                limit.CancelAfter(AnswerMax);
                try
                {
                    await AskAsync(result, result.GetValue(address), limit.Token);
                }
                catch (Exception e) when (!cancellation.IsCancellationRequested && (e is OperationCanceledException || e is RpcException { StatusCode: StatusCode.Cancelled }))
                {
                    throw new ConfigurationException($"No answer within {AnswerMax.TotalSeconds:0} s.");
                }

                await result.InvocationConfiguration.Output.WriteLineAsync("healthy");
            },
            result.InvocationConfiguration.Error));
        return command;
    }

    private static Task AskAsync(ParseResult result, string? address, CancellationToken cancellationToken) => address switch
    {
        null or "" => AskDaemonAsync(Environment.GetEnvironmentVariable("TCMU_GATEWAY_SOCKET") ?? ControlCommands.ConfiguredSocket(result), cancellationToken),
        _ when Uri.TryCreate(address, UriKind.Absolute, out var uri) => uri.Scheme switch
        {
            "http" or "https" => AskPageAsync(uri, cancellationToken),
            "grpc" when uri.PathAndQuery is "" or "/" => AskServerAsync(uri, cancellationToken),
            _ => throw NoAddress(address),
        },
        _ => throw NoAddress(address),
    };

    private static ConfigurationException NoAddress(string address) => new($"'{address}' is no address to ask: http(s)://HOST:PORT/PATH, or grpc://HOST:PORT.");

    private static async Task AskDaemonAsync(string socket, CancellationToken cancellationToken)
    {
        using var client = new ControlClient(new ControlAddress(socket));
        try
        {
            await client.Calls.GetStatusAsync(new GetStatusRequest(), cancellationToken: cancellationToken);
        }
        catch (RpcException e) when (e.StatusCode != StatusCode.Cancelled)
        {
            throw client.Explain(e);
        }
    }

    private static async Task AskPageAsync(Uri page, CancellationToken cancellationToken)
    {
        using var client = new HttpClient(new SocketsHttpHandler { UseProxy = false });
        try
        {
            using var answer = await client.GetAsync(page, cancellationToken);
            if (!answer.IsSuccessStatusCode) throw new ConfigurationException($"{page} answers {(int)answer.StatusCode}: {await answer.Content.ReadAsStringAsync(cancellationToken)}");
        }
        catch (HttpRequestException e)
        {
            throw new ConfigurationException($"{page} cannot be asked: {e.Message}");
        }
    }

    private static async Task AskServerAsync(Uri server, CancellationToken cancellationToken)
    {
        using var channel = GrpcChannel.ForAddress($"http://{server.Authority}", new GrpcChannelOptions { HttpHandler = new SocketsHttpHandler { UseProxy = false }, DisposeHttpClient = true });
        try
        {
            var answer = await new Grpc.Health.V1.Health.HealthClient(channel).CheckAsync(new HealthCheckRequest(), cancellationToken: cancellationToken);
            if (answer.Status != HealthCheckResponse.Types.ServingStatus.Serving) throw new ConfigurationException($"The blob server at {server.Authority} says {answer.Status}: the store behind it does not answer.");
        }
        catch (RpcException e) when (e.StatusCode != StatusCode.Cancelled)
        {
            throw new ConfigurationException($"The blob server at {server.Authority} cannot be asked: {e.Status.Detail}");
        }
    }
}
