using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;
using System.Net;
using Gateway.FaultProxy;

// fault-proxy UPSTREAM PORT CONTROL-PORT [COMMAND [ARGUMENT...]]: an S3 endpoint on 127.0.0.1:PORT that hands requests on to UPSTREAM and has some
// of them fail. On 127.0.0.1:CONTROL-PORT it takes
//   GET /faults?NAME=VALUE&...   replaces all faults (see Faults); without any, nothing fails
//   GET /counts                  requests, and those that it had fail
//   GET /set/NAME[/VALUE]        notes that something has happened, for others to wait for; GET /get/NAME answers with the value, 404 while there is none
//   GET /mark/WORD/...           notes the words with the moment, in milliseconds since 1970; GET /marks answers with all such lines
//   GET /store/ACTION            runs COMMAND ARGUMENT... with ACTION as the first argument: what kills, pauses and starts the store itself
// Ports of 0 are chosen; both are printed, then READY. Ends with its standard input.
if (args.Length < 3)
{
    Console.Error.WriteLine("usage: fault-proxy UPSTREAM PORT CONTROL-PORT [COMMAND [ARGUMENT...]]");
    return 64;
}

var command = args[3..];
var notes = new ConcurrentDictionary<string, string>();
var marks = new ConcurrentQueue<string>();
using var proxy = new S3Proxy(new Uri(args[0]), new Random(1));
await using var store = NewApplication(args[1]);
store.Run(proxy.HandleAsync);
await using var control = NewApplication(args[2]);
control.Run(ControlAsync);
await store.StartAsync();
await control.StartAsync();
Console.WriteLine($"PORT={new Uri(store.Urls.First()).Port}");
Console.WriteLine($"CONTROL={new Uri(control.Urls.First()).Port}");
Console.WriteLine("READY");
while (await Console.In.ReadLineAsync() is not null)
{
}

return 0;

static WebApplication NewApplication(string port)
{
    var builder = WebApplication.CreateSlimBuilder(new WebApplicationOptions { ContentRootPath = AppContext.BaseDirectory });
    builder.Logging.ClearProviders();
    builder.WebHost.ConfigureKestrel(kestrel =>
    {
        kestrel.Listen(IPAddress.Loopback, int.Parse(port, CultureInfo.InvariantCulture));
        kestrel.Limits.MaxRequestBodySize = null;
        kestrel.Limits.MinRequestBodyDataRate = null;
        kestrel.Limits.MinResponseDataRate = null;
    });
    return builder.Build();
}

async Task ControlAsync(HttpContext context)
{
    var (status, answer) = (200, "ok");
    try
    {
        switch (context.Request.Path.Value!.Split('/', StringSplitOptions.RemoveEmptyEntries))
        {
            case ["faults"]:
                proxy.Faults = Faults.Parse(context.Request.Query.Select(q => KeyValuePair.Create(q.Key, q.Value.ToString())));
                break;
            case ["counts"]:
                answer = proxy.Counts;
                break;
            case ["set", var name, .. var value]:
                notes[name] = value is [var text] ? text : "";
                break;
            case ["get", var name]:
                if (!notes.TryGetValue(name, out answer)) (status, answer) = (404, "not yet");
                break;
            case ["mark", .. var words]:
                marks.Enqueue(string.Create(CultureInfo.InvariantCulture, $"{TimeProvider.System.GetUtcNow().ToUnixTimeMilliseconds()} {string.Join(' ', words)}"));
                break;
            case ["marks"]:
                answer = string.Join('\n', marks);
                break;
            case ["store", var action] when command.Length > 0:
                using (var process = Process.Start(command[0], [action, .. command[1..]]))
                {
                    await process.WaitForExitAsync();
                    if (process.ExitCode != 0) (status, answer) = (500, $"{command[0]} {action} ended with {process.ExitCode}");
                }

                break;
            default:
                (status, answer) = (404, "no such request");
                break;
        }
    }
    catch (FormatException e)
    {
        (status, answer) = (400, e.Message);
    }

    context.Response.StatusCode = status;
    context.Response.Headers.Connection = "close";
    await context.Response.WriteAsync(answer + "\n");
}
