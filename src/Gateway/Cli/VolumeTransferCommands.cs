using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization;
using Gateway.Configuration;
using Gateway.Serving;
using Gateway.Transfer;
using Gateway.Transfer.Images;
using Gateway.Volumes;
using Gateway.Volumes.Leases;
using Microsoft.Extensions.Logging.Abstractions;

namespace Gateway.Cli;

/// <summary><c>volume import|export</c>: disks from elsewhere, and to there.</summary>
internal static class VolumeTransferCommands
{
    private const string Auto = "auto";
    private const string Raw = "raw";
    private const string Qcow2 = "qcow2";

    public static IEnumerable<Command> Build() => [BuildImport(), BuildExport()];

    private static Command BuildImport()
    {
        var source = new Argument<string>("SOURCE") { Description = "A file or a block device; with --layout: STORE, or STORE/KEY, the store of the configuration that holds the chunks, and the prefix or key that their program was given." };
        var path = VolumeCommands.PathArgument();
        var format = new Option<string>("--format", "-f") { Description = "What the file is: raw, qcow2, or auto (qcow2 if it begins so).", DefaultValueFactory = _ => Auto, HelpName = "FORMAT" };
        format.AcceptOnlyFromAmong(Auto, Raw, Qcow2);
        var layout = new Option<string?>("--layout") { Description = $"The disk is cut into chunks of one size, each an object: {ChunkLayout.S3Backer} (SOURCE is STORE/PREFIX), {ChunkLayout.Nbdkit} (its S3 plugin with object-size; STORE/KEY), or the pattern of the names, with the number as {{x8}} (8 hexadecimal digits) or {{d8}} (decimal).", HelpName = "LAYOUT" };
        var chunkSize = new Option<string?>("--chunk-size") { Description = "Length of a chunk. Default: that of the first object.", HelpName = "SIZE" };
        var size = new Option<string?>("--size", "-s") { Description = "Capacity of the disk in chunks, or of a volume that shall be larger than its disk. Default: the disk's.", HelpName = "SIZE" };
        var blockSize = VolumeCommands.BlockSizeOption();
        var compression = VolumeCommands.CompressionOption();
        var noVerify = new Option<bool>("--no-verify") { Description = "Leave out the reading back: what is in the bucket is not compared with the disk." };
        var output = VolumeCommands.OutputOption();
        var command = new Command(
            "import",
            "Makes a volume from a disk image, a block device, or a disk in chunks (s3backer, nbdkit). Holes take neither time nor space. Interrupted in any way, it goes on where it was when it is run again. All of it is read back from the bucket and compared before any gateway may serve it.")
        {
            source, path, format, layout, chunkSize, size, blockSize, compression, noVerify, output,
        };
        command.SetAction((result, cancellation) => VolumeCommands.RunAsync(result, async (stores, writer) =>
        {
            var name = VolumePath.Parse(result.GetValue(path)!);
            var bytes = ParseSize(result.GetValue(size), "--size");
            var text = result.GetValue(source)!;
            await using var image = result.GetValue(layout) is { } pattern
                ? await OpenChunksAsync(stores, text, pattern, ParseSize(result.GetValue(chunkSize), "--chunk-size"), bytes, cancellation)
                : await OpenFileAsync(text, result.GetValue(format)!, cancellation);
            _ = VolumeCompressionNames.TryParse(result.GetValue(compression)!, out var codec); // The option takes no other.
            var block = result.GetValue(blockSize);
            var spec = new VolumeSpec(bytes ?? Math.Max(VolumeSpec.SizeMinBytes, (image.SizeBytes + block - 1) / block * block), block, codec);
            var store = stores.Get(name.Store);
            var outcome = await TransferDisplay.RunAsync(
                result.InvocationConfiguration.Error,
                (progress, waits) => new VolumeImporter(store, VolumeCommands.Configuration(result).ToVolumeOptions(name), ThisProgram.Owner, BootTimeProvider.Instance, NullLogger.Instance)
                {
                    Progress = progress,
                    Waits = waits,
                    Verify = !result.GetValue(noVerify),
                }.RunAsync(image, name.Volume, spec, cancellation));
            if (result.GetValue(output) == VolumeCommands.JsonOutput)
            {
                await writer.WriteLineAsync(JsonSerializer.Serialize(new ImportOutcome(name.ToString(), image.Identity, spec.SizeBytes, outcome), TransferJson.Default.ImportOutcome));
                return;
            }

            var resumed = outcome.ResumedAtBytes > 0 ? $" It went on at {ByteSize.Format(outcome.ResumedAtBytes)}." : "";
            await writer.WriteLineAsync($"Imported {image.Identity} into {name}: {ByteSize.Format(spec.SizeBytes)}, {ByteSize.Format(outcome.DataBytes)} of data copied.{resumed}");
            await writer.WriteLineAsync(outcome.Verified ? "All of it was read back from the store, and is the same." : "It was not read back.");
            await writer.WriteLineAsync($"Its TCMU configuration string is gateway/{name}.");
        }));
        return command;
    }

    private static Command BuildExport()
    {
        var path = VolumeCommands.PathArgument();
        var file = new Argument<string>("FILE") { Description = "The raw image to make, sparse where the volume has no data; or a block device." };
        var force = new Option<bool>("--force") { Description = "Replace the file if there is one, or overwrite the device." };
        var output = VolumeCommands.OutputOption();
        var command = new Command("export", "Copies a volume that no gateway serves into a raw image or onto a block device. 'qemu-img convert' makes other formats of it.") { path, file, force, output };
        command.SetAction((result, cancellation) => VolumeCommands.RunAsync(result, async (stores, writer) =>
        {
            var name = VolumePath.Parse(result.GetValue(path)!);
            var configuration = VolumeCommands.Configuration(result);
            var store = stores.Get(name.Store);
            _ = await new VolumeCatalog(store, TimeProvider.System).IdentifyAsync(name.Volume, cancellation); // Refuses what nobody may open.
            var ownership = await VolumeOwnership.ReadAsync(store, name.Volume, TimeProvider.System, cancellation);
            if (ownership.IsServed(TimeProvider.System.GetUtcNow()))
                throw new ConfigurationException($"Volume {name} is served by {ownership.Owner}, and goes on changing. Stop its gateway, or take its export away there ('tcmu-gateway target unexport'), and export it then.");
            var target = Path.GetFullPath(result.GetValue(file)!);
            var outcome = await TransferDisplay.RunAsync(result.InvocationConfiguration.Error, async (progress, waits) =>
            {
                var options = configuration.ToVolumeOptions(name);
                var opener = new VolumeOpener(store, options, configuration.Journal, ThisProgram.Owner, BootTimeProvider.Instance, new Random(Environment.ProcessId), NullLogger.Instance, stores.GetBackground(name.Store))
                {
                    Waits = wait => waits(string.Create(CultureInfo.InvariantCulture, $"{Math.Ceiling(wait.Left.TotalSeconds)} s left: {wait.Reason}")),
                };
                await using var volume = await opener.OpenAsync(name.Volume, cancellation);
                return await new VolumeExporter { Progress = progress, Waits = waits }.RunAsync(volume, target, result.GetValue(force), cancellation);
            });
            if (result.GetValue(output) == VolumeCommands.JsonOutput) await writer.WriteLineAsync(JsonSerializer.Serialize(new ExportOutcome(name.ToString(), target, outcome), TransferJson.Default.ExportOutcome));
            else await writer.WriteLineAsync($"'{target}' is volume {name}: {ByteSize.Format(outcome.SizeBytes)}, {ByteSize.Format(outcome.DataBytes)} of them data.");
        }));
        return command;
    }

    private static async Task<DiskImage> OpenFileAsync(string path, string format, CancellationToken cancellationToken)
    {
        var isQcow2 = format == Qcow2 || (format == Auto && await Qcow2Image.IsQcow2Async(path, cancellationToken));
        return isQcow2 ? await Qcow2Image.OpenAsync(path, cancellationToken) : RawImage.Open(path);
    }

    private static async Task<DiskImage> OpenChunksAsync(StoreSet stores, string source, string layout, long? chunkBytes, long? sizeBytes, CancellationToken cancellationToken)
    {
        var slash = source.IndexOf('/', StringComparison.Ordinal);
        var (store, key) = slash < 0 ? (source, "") : (source[..slash], source[(slash + 1)..]);
        return await ChunkedImage.OpenAsync(stores.Get(store), ChunkLayout.Parse(layout, key), chunkBytes, sizeBytes, cancellationToken);
    }

    /// <exception cref="ConfigurationException">It is no size.</exception>
    private static long? ParseSize(string? text, string option) => text is null ? null
        : ByteSize.TryParse(text, out var bytes) && bytes > 0 ? bytes
        : throw new ConfigurationException($"{option} {text}: is no size. Write bytes, or a number with a unit: 512MiB, 1.5TiB, 20GB.");
}

/// <summary>What an import has come to.</summary>
internal sealed record ImportOutcome(string Volume, string Source, long SizeBytes, TransferOutcome Transfer);

/// <summary>What an export has come to.</summary>
internal sealed record ExportOutcome(string Volume, string File, TransferOutcome Transfer);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, WriteIndented = true)]
[JsonSerializable(typeof(ImportOutcome))]
[JsonSerializable(typeof(ExportOutcome))]
internal sealed partial class TransferJson : JsonSerializerContext;
