using System.CommandLine;
using Gateway.Cli;

// Longer than any command takes to end in order (systemd's own limit is 90 s): after this an end is forced. The library's own limit of 2 s
// would cut off what empties a journal.
return await CommandLine.Build().Parse(args).InvokeAsync(new InvocationConfiguration { ProcessTerminationTimeout = TimeSpan.FromSeconds(85) });
