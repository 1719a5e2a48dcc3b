using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization;
using Gateway.Configuration;
using Gateway.Volumes;
using Gateway.Volumes.Leases;

namespace Gateway.Cli;

/// <summary><c>volume journal list|show</c>: what the journals on this host hold.</summary>
internal static class VolumeJournalCommand
{
    private const int RangesMax = 6;

    public static Command Build()
    {
        var journal = new Command("journal", "Shows the journals on this host, those in use and those kept aside. Changes nothing.");
        journal.Subcommands.Add(BuildList());
        journal.Subcommands.Add(BuildShow());
        return journal;
    }

    private static Command BuildList()
    {
        var path = new Argument<string?>("STORE/VOLUME") { Description = "The volume whose journals are listed; all of them if left out.", Arity = ArgumentArity.ZeroOrOne };
        var output = VolumeCommands.OutputOption();
        var command = new Command("list", "Lists the journals in the configuration's journal directory.") { path, output };
        command.SetAction((result, cancellation) => VolumeCommands.RunAsync(result, async (stores, writer) =>
        {
            Guid? id = null;
            if (result.GetValue(path) is { } text)
            {
                var name = VolumePath.Parse(text);
                id = (await new VolumeCatalog(stores.Get(name.Store), TimeProvider.System).DescribeAsync(name.Volume, cancellation)).Id;
            }

            var journals = (await JournalInspector.ListAsync(VolumeCommands.Configuration(result).Journal.Directory, id)).ToList();
            if (result.GetValue(output) == VolumeCommands.JsonOutput)
            {
                await writer.WriteLineAsync(JsonSerializer.Serialize(journals, JournalJson.Default.ListJournalSummary));
                return;
            }

            await VolumeCommands.WriteTableAsync(
                writer,
                ["FILE", "VOLUME", "STATE", "EPOCH", "IN BUCKET UP TO WRITE", "CHANGED"],
                journals.ConvertAll<string[]>(j =>
                [
                    Path.GetFileName(j.File), j.VolumeId.ToString(), j.KeptAside ? "kept aside" : "journal", VolumeCommands.Text(j.Epoch),
                    VolumeCommands.Text(j.LastWriteInBucket), j.ChangedAt.ToString("u", CultureInfo.InvariantCulture),
                ]));
        }));
        return command;
    }

    private static Command BuildShow()
    {
        var file = new Argument<string>("FILE") { Description = "A journal: its path, or its name in the configuration's journal directory." };
        var volume = new Option<string?>("--volume") { Description = "The journal's volume: then it is said which of its writes are in the bucket.", HelpName = "STORE/VOLUME" };
        var output = VolumeCommands.OutputOption();
        var command = new Command("show", "Shows the writes that a journal holds beyond what it knows to be in the bucket. Takes no lock: of a journal in use it shows what it happens to read.") { file, volume, output };
        command.SetAction((result, cancellation) => VolumeCommands.RunAsync(result, async (stores, writer) =>
        {
            var path = Find(result.GetValue(file)!, VolumeCommands.Configuration(result).Journal.Directory);
            var name = result.GetValue(volume) is { } text ? VolumePath.Parse(text) : (VolumePath?)null;
            var report = await ReadAsync(path, name is { } n ? (stores.Get(n.Store), n.Volume) : null, cancellation);
            if (result.GetValue(output) == VolumeCommands.JsonOutput) await writer.WriteLineAsync(JsonSerializer.Serialize(report, JournalJson.Default.JournalReport));
            else await WriteAsync(writer, report);
            if (report.Damage is { } damage) throw new VolumeException(VolumeErrorKind.Damaged, damage);
        }));
        return command;
    }

    private static string Find(string file, string? directory)
    {
        if (File.Exists(file)) return file;
        var inside = Path.Combine(directory ?? "", file);
        return File.Exists(inside) ? inside : throw new ConfigurationException($"There is no journal '{file}', nor one of that name in '{directory}'. 'tcmu-gateway volume journal list' shows what is there.");
    }

    private static async Task<JournalReport> ReadAsync(string path, (Backends.Core.IBlobStore, string)? volume, CancellationToken cancellationToken)
    {
        try
        {
            return await JournalInspector.ReadAsync(path, volume, cancellationToken);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new VolumeException(VolumeErrorKind.LocalDisk, $"Journal '{path}' cannot be read: {e.Message}", e);
        }
    }

    private static async Task WriteAsync(TextWriter writer, JournalReport report)
    {
        var journal = report.Journal;
        await VolumeCommands.WriteTableAsync(writer, null,
        [
            ["File", journal.File],
            ["Volume", journal.VolumeId.ToString()],
            ["State", journal.KeptAside ? "kept aside: the volume was served elsewhere since, and nothing replays it" : "journal"],
            ["Epoch", VolumeCommands.Text(journal.Epoch)],
            ["Changed", journal.ChangedAt.ToString("u", CultureInfo.InvariantCulture)],
            ["In bucket up to", $"write {VolumeCommands.Text(journal.LastWriteInBucket)}, as the journal knows"],
            ["Holds", $"{VolumeCommands.Text(report.Batches.Sum(b => b.Writes.Count))} writes in {VolumeCommands.Text(report.Batches.Count)} batches"],
        ]);
        if (report.Batches.Count == 0) return;
        await writer.WriteLineAsync();
        await VolumeCommands.WriteTableAsync(
            writer,
            ["WRITES", "EPOCH", "IN BUCKET", "BLOCKS"],
            report.Batches.Where(b => b.Writes.Count > 0).Select(b => (string[])
            [
                $"{VolumeCommands.Text(b.Writes[0].Write)}-{VolumeCommands.Text(b.Writes[^1].Write)}", VolumeCommands.Text(b.Epoch),
                b.InBucket switch { true => "yes", false => "no", _ => "?" }, Ranges(b.Writes),
            ]).ToList());
    }

    private static string Ranges(IReadOnlyList<JournaledWrite> writes)
    {
        var shown = writes.Take(RangesMax).Select(w => string.Create(CultureInfo.InvariantCulture, $"{w.Lba}-{w.Lba + w.Blocks - 1}{(w.Kind == "zeroes" ? " (zeroes)" : "")}"));
        return string.Join(", ", shown) + (writes.Count > RangesMax ? $", and {VolumeCommands.Text(writes.Count - RangesMax)} more" : "");
    }
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, WriteIndented = true)]
[JsonSerializable(typeof(List<JournalSummary>))]
[JsonSerializable(typeof(JournalReport))]
internal sealed partial class JournalJson : JsonSerializerContext;
