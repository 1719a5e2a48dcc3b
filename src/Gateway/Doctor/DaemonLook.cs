using System.Net.Sockets;
using Gateway.Control;
using Gateway.Control.V1;
using Grpc.Core;
using Status = Gateway.Control.V1.Status;

namespace Gateway.Doctor;

/// <summary>Asks the running daemon over its control socket.</summary>
internal static class DaemonLook
{
    private const int EventsLast = 1000;
    private static readonly TimeSpan AnswerTimeout = TimeSpan.FromSeconds(10);

    /// <summary>Between the two looks that tell whether commands are answered.</summary>
    private static readonly TimeSpan Between = TimeSpan.FromSeconds(1);

    /// <summary>Its word; or why there is none, and whether one may run all the same.</summary>
    public static async Task<(DaemonView? View, string? WhyNot, bool MayAsk)> RunAsync(string? socket, TimeProvider time, CancellationToken cancellationToken)
    {
        if (socket is null) return (null, "control.socket is null in the configuration: it cannot be asked", false);
        if (!File.Exists(socket)) return CanSee(socket) ? (null, $"there is no socket '{socket}'", true) : (null, $"'{socket}' may not be looked at", false);
        using var client = new ControlClient(new ControlAddress(socket));
        try
        {
            var limit = time.GetUtcNow().UtcDateTime + AnswerTimeout;
            var before = await client.Calls.GetStatusAsync(new GetStatusRequest(), deadline: limit, cancellationToken: cancellationToken);
            Status? after = null;
            if (before.Devices.Any(d => d.InFlight > 0))
            {
                await Task.Delay(Between, time, cancellationToken);
                after = await client.Calls.GetStatusAsync(new GetStatusRequest(), deadline: limit, cancellationToken: cancellationToken);
            }

            var targets = await client.Calls.ListTargetsAsync(new ListTargetsRequest(), deadline: limit, cancellationToken: cancellationToken);
            var events = new List<Event>();
            using var call = client.Calls.WatchEvents(new WatchEventsRequest { Last = EventsLast }, deadline: limit, cancellationToken: cancellationToken);
            await foreach (var one in call.ResponseStream.ReadAllAsync(cancellationToken)) events.Add(one);
            return (new DaemonView(before, after, targets.Faults, events), null, true);
        }
        catch (RpcException e)
        {
            cancellationToken.ThrowIfCancellationRequested();
            var isRefused = Find<SocketException>(e.Status.DebugException) is { SocketErrorCode: SocketError.AccessDenied };
            return (null, e.StatusCode == StatusCode.DeadlineExceeded ? $"it has not answered within {AnswerTimeout.TotalSeconds:0} s" : client.Explain(e).Message, !isRefused);
        }
    }

    private static bool CanSee(string path)
    {
        var directory = Path.GetDirectoryName(path)!;
        if (!Directory.Exists(directory)) return true;
        try
        {
            _ = Directory.EnumerateFileSystemEntries(directory).Any();
            return true;
        }
        catch (UnauthorizedAccessException)
        {
            return false;
        }
    }

    private static T? Find<T>(Exception? exception)
        where T : Exception
    {
        while (exception is not (null or T)) exception = exception.InnerException;
        return (T?)exception;
    }
}
