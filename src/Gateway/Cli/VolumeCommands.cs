using System.CommandLine;
using System.Globalization;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization;
using Gateway.Configuration;
using Gateway.Volumes;
using Gateway.Volumes.Leases;

namespace Gateway.Cli;

/// <summary><c>volume create|list|info</c>, and where the others are.</summary>
internal static class VolumeCommands
{
    private const string TextOutput = "text";
    internal const string JsonOutput = "json";

    public static Command Build()
    {
        var volume = new Command("volume", "Makes, lists and describes volumes.");
        volume.Subcommands.Add(BuildCreate());
        volume.Subcommands.Add(BuildList());
        volume.Subcommands.Add(BuildInfo());
        volume.Subcommands.Add(VolumeCheckCommand.Build());
        volume.Subcommands.Add(VolumeTakeoverCommand.Build());
        volume.Subcommands.Add(VolumeJournalCommand.Build());
        volume.Subcommands.Add(VolumeDumpCommand.Build());
        foreach (var command in VolumeLifecycleCommands.Build()) volume.Subcommands.Add(command);
        foreach (var command in VolumeTransferCommands.Build()) volume.Subcommands.Add(command);
        RemoteVolumeCommands.AddTo(volume);
        return volume;
    }

    private static Command BuildCreate()
    {
        var path = PathArgument();
        var size = new Option<string>("--size", "-s") { Description = "Capacity: bytes, or with a unit (512MiB, 1.5TiB, 20GB). A multiple of the block size.", Required = true, HelpName = "SIZE" };
        var blockSize = BlockSizeOption();
        var compression = CompressionOption();
        var output = OutputOption();
        var command = new Command("create", "Makes a volume in a store. It takes no space until it is written.") { path, size, blockSize, compression, output };
        command.SetAction((result, cancellation) => RunAsync(result, async (stores, writer) =>
        {
            var name = VolumePath.Parse(result.GetValue(path)!);
            if (!ByteSize.TryParse(result.GetValue(size)!, out var bytes))
                throw new ConfigurationException($"'{result.GetValue(size)}' is no size. Write bytes, or a number with a unit: 512MiB, 1.5TiB, 20GB.");
            _ = VolumeCompressionNames.TryParse(result.GetValue(compression)!, out var codec); // The option takes no other.
            var info = await Catalog(stores, name).CreateAsync(name.Volume, new VolumeSpec(bytes, result.GetValue(blockSize), codec), cancellation);
            if (result.GetValue(output) == JsonOutput) await writer.WriteLineAsync(Indented(ToNode(name.Store, info)));
            else await writer.WriteLineAsync($"Created volume {name}, {ByteSize.Format(info.SizeBytes)} in blocks of {info.BlockSizeBytes} bytes.\nIts TCMU configuration string is gateway/{name}.");
        }));
        return command;
    }

    private static Command BuildList()
    {
        var store = new Argument<string?>("STORE") { Description = "The store; all of them if left out.", Arity = ArgumentArity.ZeroOrOne };
        var output = OutputOption();
        var trash = new Option<bool>("--trash") { Description = "Those in the trash instead: 'volume restore' brings them back, 'volume purge' removes them for good." };
        var command = new Command("list", "Lists the volumes of a store, or of all stores.") { store, trash, output };
        command.SetAction((result, cancellation) => RunAsync(result, async (stores, writer) =>
        {
            if (result.GetValue(trash))
            {
                await VolumeLifecycleCommands.ListTrashAsync(result, stores, result.GetValue(store) is { } only ? [only] : stores.Names, result.GetValue(output) == JsonOutput, cancellation);
                return;
            }

            var infos = new List<(string Store, VolumeInfo Info)>();
            var faults = new List<string>();
            foreach (var name in result.GetValue(store) is { } one ? [one] : stores.Names)
            {
                var catalog = new VolumeCatalog(stores.Get(name), TimeProvider.System);
                foreach (var volume in await catalog.ListAsync(cancellation))
                {
                    try
                    {
                        infos.Add((name, await catalog.DescribeAsync(volume, cancellation)));
                    }
                    catch (VolumeException e)
                    {
                        faults.Add($"{name}/{volume}: {e.Message}"); // One damaged volume must not hide the others.
                    }
                }
            }

            if (result.GetValue(output) == JsonOutput)
            {
                await writer.WriteLineAsync(Indented(new JsonArray([.. infos.Select(i => ToNode(i.Store, i.Info))])));
            }
            else
            {
                await WriteTableAsync(
                    writer,
                    ["VOLUME", "SIZE", "BLOCK", "SEGMENTS", "IN BUCKET", "EPOCH", "LAST OPENED BY"],
                    infos.ConvertAll<string[]>(i =>
                    [
                        $"{i.Store}/{i.Info.Name}", ByteSize.Format(i.Info.SizeBytes), Text(i.Info.BlockSizeBytes), Text(i.Info.Segments),
                        ByteSize.Format(i.Info.BucketBytes), Text(i.Info.Epoch), i.Info.Owner ?? "-",
                    ]));
            }

            if (faults.Count > 0) throw new VolumeException(VolumeErrorKind.Damaged, string.Join("\ntcmu-gateway: ", faults));
        }));
        return command;
    }

    private static Command BuildInfo()
    {
        var path = PathArgument();
        var output = OutputOption();
        var command = new Command("info", "Describes a volume as the bucket has it: what is still in a journal is not in there.") { path, output };
        command.SetAction((result, cancellation) => RunAsync(result, async (stores, writer) =>
        {
            var name = VolumePath.Parse(result.GetValue(path)!);
            var info = await Catalog(stores, name).DescribeAsync(name.Volume, cancellation);
            info = info with
            {
                Ownership = await VolumeOwnership.ReadAsync(stores.Get(name.Store), name.Volume, TimeProvider.System, cancellation),
                KeptAside = JournalInspector.KeptAside(Configuration(result).Journal.Directory, info.Id),
            };
            if (result.GetValue(output) == JsonOutput)
            {
                await writer.WriteLineAsync(Indented(ToNode(name.Store, info)));
                return;
            }

            await WriteTableAsync(writer, null,
            [
                ["Volume", name.ToString()],
                ["Id", info.Id.ToString()],
                ["Size", $"{ByteSize.Format(info.SizeBytes)} ({Text(info.SizeBytes)} bytes)"],
                ["Block size", $"{Text(info.BlockSizeBytes)} bytes"],
                ["Compression", info.Compression],
                .. info.Folder == info.Name ? Array.Empty<string[]>() : [["Folder", $"{info.Folder}/, since it was created with that name"]],
                .. info.ImportOf is { } source ? [["Being imported", $"from {source}: nobody serves it until that is done"]] : Array.Empty<string[]>(),
                .. info.RemovedAt is { } at ? [["In the trash", $"since {at.ToString("u", CultureInfo.InvariantCulture)}, to be purged after {info.PurgeAfter?.ToString("u", CultureInfo.InvariantCulture)}"]] : Array.Empty<string[]>(),
                ["Created", info.CreatedAt.ToString("u", CultureInfo.InvariantCulture)],
                ["Epoch", info.Epoch == 0 ? "never opened" : $"{Text(info.Epoch)}, opened by {info.Owner}"],
                ["Owner", Describe(info.Ownership!)],
                .. LeftBehind(info.Ownership!),
                .. info.KeptAside.Select(file => (string[])["Kept aside", $"{file}: writes that are in no other place; see 'volume journal show'"]),
                ["Segments", $"{Text(info.Segments)}, the last is {Text(info.LastSequence)}" + (info.StaleSegments > 0 ? $"; {Text(info.StaleSegments)} left over from fenced writers" : "")],
                ["Last write in bucket", Text(info.LastWriteNumber)],
                ["Bytes in bucket", $"{ByteSize.Format(info.BucketBytes)} ({Text(info.BucketBytes)} bytes)"],
            ]);
        }));
        return command;
    }

    private static string Describe(VolumeOwnership ownership) => ownership switch
    {
        { Owner: null } => "nobody",
        { Released: true } => "nobody: released, any gateway may open it at once",
        { TakingOver: true } => $"{ownership.Owner}, which is taking it over",
        { SignOfLifeAt: { } at } => $"{ownership.Owner}, which gave its last sign of life at {at.ToString("u", CultureInfo.InvariantCulture)}, by its clock",
        { LeaseSeconds: 0 } => $"{ownership.Owner}, without a lease",
        _ => $"{ownership.Owner}, which has given no sign of life yet",
    };

    private static IEnumerable<string[]> LeftBehind(VolumeOwnership ownership) => ownership.LeftBehindBy is { } by
        ? [["Not in bucket", $"flushed writes {Text(ownership.LeftBehindFirstWrite)} to {(ownership.LeftBehindLastWrite > 0 ? Text(ownership.LeftBehindLastWrite) : "?")}, in the journal of {by}"]]
        : [];

    internal static Argument<string> PathArgument() => new("STORE/VOLUME") { Description = "A store's name in the configuration, and the volume's name in it." };

    internal static Option<int> BlockSizeOption() => new("--block-size") { Description = "Logical block size in bytes, 512 or 4096.", DefaultValueFactory = _ => VolumeSpec.BlockSizeDefaultBytes, HelpName = "BYTES" };

    internal static Option<string> CompressionOption()
    {
        var option = new Option<string>("--compression") { Description = "How its data is compressed: lz4 (fast), zstd (smaller, takes more processor time) or none.", DefaultValueFactory = _ => VolumeCompressionNames.NameOf(VolumeCompression.Lz4), HelpName = "CODEC" };
        option.AcceptOnlyFromAmong([.. VolumeCompressionNames.All]);
        return option;
    }

    internal static Option<string> OutputOption()
    {
        var option = new Option<string>("--output", "-o") { Description = "Form of the output: text or json.", DefaultValueFactory = _ => TextOutput, HelpName = "FORM" };
        option.AcceptOnlyFromAmong(TextOutput, JsonOutput);
        return option;
    }

    private static VolumeCatalog Catalog(StoreSet stores, VolumePath path) => new(stores.Get(path.Store), TimeProvider.System);

    internal static Task<int> RunAsync(ParseResult result, Func<StoreSet, TextWriter, Task> action) => RunAsync(result, async (stores, writer) =>
    {
        await action(stores, writer);
        return 0;
    });

    internal static Task<int> RunAsync(ParseResult result, Func<StoreSet, TextWriter, Task<int>> action) => CommandLine.RunAsync(
        async () =>
        {
            await using var stores = new StoreSet(Configuration(result), TimeProvider.System);
            return await action(stores, result.InvocationConfiguration.Output);
        },
        result.InvocationConfiguration.Error);

    internal static GatewayConfiguration Configuration(ParseResult result) => GatewayConfiguration.Load(result.GetValue(CommandLine.ConfigOption)!);

    /// <summary>A volume with the store that it is in.</summary>
    private static JsonObject ToNode(string store, VolumeInfo info)
    {
        var node = JsonSerializer.SerializeToNode(info, OutputJson.Default.VolumeInfo)!.AsObject();
        node.Insert(0, "store", store);
        return node;
    }

    internal static string Indented(JsonNode node)
    {
        using var text = new MemoryStream();
        using (var json = new Utf8JsonWriter(text, new JsonWriterOptions { Indented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping })) node.WriteTo(json);
        return Encoding.UTF8.GetString(text.GetBuffer(), 0, (int)text.Length);
    }

    internal static async Task WriteTableAsync(TextWriter writer, string[]? header, List<string[]> rows)
    {
        if (header is not null) rows.Insert(0, header);
        var widths = Enumerable.Range(0, rows.Max(r => r.Length)).Select(c => rows.Max(r => r[c].Length)).ToArray();
        foreach (var row in rows) await writer.WriteLineAsync(string.Join("  ", row.Select((cell, c) => cell.PadRight(widths[c]))).TrimEnd());
    }

    internal static string Text(long value) => value.ToString(CultureInfo.InvariantCulture);
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, WriteIndented = true)]
[JsonSerializable(typeof(VolumeInfo))]
internal sealed partial class OutputJson : JsonSerializerContext;
