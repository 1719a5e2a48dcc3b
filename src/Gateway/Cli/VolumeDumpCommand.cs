using System.Buffers;
using System.CommandLine;
using System.Globalization;
using System.Text;
using System.Text.Json;
using Gateway.Configuration;
using Gateway.Volumes.Checking;

namespace Gateway.Cli;

/// <summary><c>volume dump</c>: shows what the bucket holds of a volume, damaged parts included.</summary>
internal static class VolumeDumpCommand
{
    public static Command Build()
    {
        var path = VolumeCommands.PathArgument();
        var segment = new Option<long?>("--segment") { Description = "Show header and index of one segment.", HelpName = "SEQUENCE" };
        var lba = new Option<string?>("--lba") { Description = "Show where blocks are and whether they prove.", HelpName = "N[+COUNT]" };
        var output = VolumeCommands.OutputOption();
        var command = new Command("dump", "Shows what the bucket holds of a volume, for people. What is damaged is shown as such. It changes nothing.") { path, segment, lba, output };
        command.SetAction((result, cancellation) => VolumeCommands.RunAsync(result, async (stores, writer) =>
        {
            var name = VolumePath.Parse(result.GetValue(path)!);
            var dumper = new VolumeDumper(stores.Get(name.Store), name.Volume);
            var entries = dumper.VolumeAsync(cancellation);
            if (result.GetValue(segment) is { } sequence) entries = dumper.SegmentAsync(sequence, cancellation);
            if (result.GetValue(lba) is { } blocks)
            {
                if (!TryParse(blocks, out var first, out var count)) throw new ConfigurationException($"'{blocks}' names no blocks. Write --lba N or --lba N+COUNT.");
                entries = dumper.BlocksAsync(first, count, cancellation);
            }

            if (result.GetValue(output) == VolumeCommands.JsonOutput) await WriteJsonAsync(writer, entries);
            else await foreach (var entry in entries) await writer.WriteLineAsync($"{entry.Part}: {string.Join(", ", entry.Fields.Select(f => $"{f.Key} {f.Value}"))}");
        }));
        return command;
    }

    internal static bool TryParse(string text, out ulong first, out ulong count)
    {
        var plus = text.IndexOf('+', StringComparison.Ordinal);
        count = 1;
        return ulong.TryParse(plus < 0 ? text : text[..plus], NumberStyles.None, CultureInfo.InvariantCulture, out first)
            && (plus < 0 || (ulong.TryParse(text[(plus + 1)..], NumberStyles.None, CultureInfo.InvariantCulture, out count) && count > 0));
    }

    /// <summary>One array of objects, written as it comes.</summary>
    private static async Task WriteJsonAsync(TextWriter writer, IAsyncEnumerable<DumpEntry> entries)
    {
        var buffer = new ArrayBufferWriter<byte>();
        var separator = "[";
        await foreach (var entry in entries)
        {
            buffer.ResetWrittenCount();
            using (var json = new Utf8JsonWriter(buffer))
            {
                json.WriteStartObject();
                json.WriteString("part", entry.Part);
                foreach (var (key, value) in entry.Fields) json.WriteString(key, value);
                json.WriteEndObject();
            }

            await writer.WriteLineAsync(separator);
            await writer.WriteAsync(Encoding.UTF8.GetString(buffer.WrittenSpan));
            separator = ",";
        }

        await writer.WriteLineAsync(separator == "[" ? "[]" : "\n]");
    }
}
