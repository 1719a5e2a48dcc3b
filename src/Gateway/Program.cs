using Gateway.Cli;

return await CommandLine.Build().Parse(args).InvokeAsync();
