using System.CommandLine;
using System.Globalization;
using Gateway.Configuration;
using Gateway.Control;
using Gateway.Control.V1;
using Google.Protobuf;
using Grpc.Core;
using V1Client = Gateway.Control.V1.Control.ControlClient;

namespace Gateway.Cli;

/// <summary>What all commands that ask the running daemon share, and <c>status</c>, <c>events</c>, <c>reload</c>.</summary>
internal static class ControlCommands
{
    private static readonly Option<string?> SocketOption = new("--socket") { Description = "The daemon's control socket. Default: that of the configuration.", HelpName = "FILE" };
    private static readonly Option<string?> ConnectOption = new("--connect") { Description = "A daemon on another host, by its control.listen address; with the --tls options.", HelpName = "HOST:PORT" };
    private static readonly Option<string?> CaOption = new("--tls-ca") { Description = "With --connect: the authority of its certificate, PEM. Default: those that this host trusts.", HelpName = "FILE" };
    private static readonly Option<string?> CertificateOption = new("--tls-certificate") { Description = "With --connect: your certificate, PEM.", HelpName = "FILE" };
    private static readonly Option<string?> KeyOption = new("--tls-key") { Description = "With --connect: its private key, PEM.", HelpName = "FILE" };

    public static Command BuildStatus()
    {
        var output = VolumeCommands.OutputOption();
        return WithConnection(new Command("status", "Shows what the running daemon serves, how its stores do, and what is wrong.") { output }, async (client, result, writer, cancellation) =>
        {
            var status = await client.GetStatusAsync(new GetStatusRequest(), cancellationToken: cancellation);
            if (result.GetValue(output) == VolumeCommands.JsonOutput) await WriteJsonAsync(writer, status);
            else await StatusText.WriteAsync(writer, status);
            return 0;
        });
    }

    public static Command BuildEvents()
    {
        var last = new Option<int>("--last", "-n") { Description = "How many of the last ones to show, at most 1000.", DefaultValueFactory = _ => 50, HelpName = "NUMBER" };
        var follow = new Option<bool>("--follow", "-f") { Description = "Go on as they come, until Ctrl-C." };
        var output = VolumeCommands.OutputOption();
        return WithConnection(new Command("events", "Shows what the running daemon has logged.") { last, follow, output }, async (client, result, writer, cancellation) =>
        {
            using var call = client.WatchEvents(new WatchEventsRequest { Last = result.GetValue(last), Follow = result.GetValue(follow) }, cancellationToken: cancellation);
            var json = result.GetValue(output) == VolumeCommands.JsonOutput;
            await foreach (var one in call.ResponseStream.ReadAllAsync(cancellation))
            {
                if (json) await writer.WriteLineAsync(JsonFormatter.Default.Format(one));
                else await writer.WriteLineAsync(string.Create(CultureInfo.InvariantCulture, $"{one.At.ToDateTime():yyyy-MM-ddTHH:mm:ss.fffZ} {one.Level,-11} {one.Name} [{one.Id}] {one.Message}"));
                await writer.FlushAsync(cancellation);
            }

            return 0;
        });
    }

    public static Command BuildReload()
    {
        var output = VolumeCommands.OutputOption();
        return WithConnection(new Command("reload", "Has the running daemon read its configuration file now. It does so by itself a few seconds after every change.") { output }, async (client, result, writer, cancellation) =>
        {
            var reply = await client.ReloadAsync(new ReloadRequest(), cancellationToken: cancellation);
            if (result.GetValue(output) == VolumeCommands.JsonOutput) await WriteJsonAsync(writer, reply);
            else await writer.WriteLineAsync(reply.NeedsRestart.Count == 0 ? "The configuration was read again; it holds." : $"The configuration was read again. A restart is needed for: {string.Join(", ", reply.NeedsRestart)}.");
            return 0;
        });
    }

    /// <summary>A command that asks the daemon: with the options that say where it is, and its failures told to people.</summary>
    public static Command WithConnection(Command command, Func<V1Client, ParseResult, TextWriter, CancellationToken, Task<int>> action)
    {
        foreach (var option in (Option[])[SocketOption, ConnectOption, CaOption, CertificateOption, KeyOption]) command.Options.Add(option);
        command.SetAction((result, cancellation) => CommandLine.RunAsync(
            async () =>
            {
                using var client = new ControlClient(AddressOf(result));
                try
                {
                    return await action(client.Calls, result, result.InvocationConfiguration.Output, cancellation);
                }
                catch (RpcException) when (cancellation.IsCancellationRequested)
                {
                    return CommandLine.ExitInterrupted;
                }
                catch (RpcException e)
                {
                    throw client.Explain(e);
                }
            },
            result.InvocationConfiguration.Error));
        return command;
    }

    /// <summary>Whether the daemon is named whom a command that works without one, too, is to ask.</summary>
    public static bool IsAsked(ParseResult result) => result.GetValue(ConnectOption) is not null || result.GetValue(SocketOption) is not null;

    public static Task WriteJsonAsync(TextWriter writer, IMessage message) => writer.WriteLineAsync(new JsonFormatter(JsonFormatter.Settings.Default.WithFormatDefaultValues(true).WithIndentation()).Format(message));

    private static ControlAddress AddressOf(ParseResult result)
    {
        if (result.GetValue(ConnectOption) is { } address)
        {
            if (result.GetValue(CertificateOption) is null || result.GetValue(KeyOption) is null) throw new ConfigurationException("--connect needs --tls-certificate and --tls-key: a daemon knows by them who asks.");
            return new ControlAddress("", address, result.GetValue(CaOption), result.GetValue(CertificateOption), result.GetValue(KeyOption));
        }

        return new ControlAddress(result.GetValue(SocketOption) ?? Environment.GetEnvironmentVariable("TCMU_GATEWAY_SOCKET") ?? ConfiguredSocket(result));
    }

    /// <summary>That of the configuration file, if it can be read: a member of control.group may not be able to.</summary>
    public static string ConfiguredSocket(ParseResult result)
    {
        try
        {
            return VolumeCommands.Configuration(result).Control.Socket ?? throw new ConfigurationException("control.socket is null in the configuration: this gateway has no control socket.");
        }
        catch (ConfigurationException) when (result.GetResult(CommandLine.ConfigOption) is null or { Implicit: true })
        {
            return ControlSection.DefaultSocket;
        }
    }
}
