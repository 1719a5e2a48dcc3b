using System.Globalization;
using Gateway.Scsi;
using Gateway.Scsi.Interop;
using Gateway.Simulation.Model;
using Gateway.Simulation.Scheduling;
using Gateway.Volumes;

namespace Gateway.Simulation.Scenario;

/// <summary>Sends commands to a volume as initiators do, several at a time, and checks every answer against the model.</summary>
internal sealed class Initiators(World world, SeedPlan plan, Judge judge, Random random)
{
    private static readonly TimeSpan AnswerSlack = TimeSpan.FromSeconds(5);

    // What is aborted may wait for a slow disk: for the append before it and its own, each with its padding.
    private static readonly TimeSpan AbortedAnswerMax = TimeSpan.FromSeconds(4);

    private readonly Stack<NativeBuffer> _buffers = new();
    private int _lastTag;

    /// <summary>Sends commands until the serving ends or has had its share.</summary>
    public async Task RunAsync(Serving serving)
    {
        try
        {
            var commands = random.Next(1, plan.CommandsMax + 1);
            while (commands-- > 0 && !serving.IsEnding && !serving.Process.IsDead)
            {
                if (random.Next(3) == 0) await world.DelayAsync(plan.ThinkMax * random.NextDouble());
                if (!await SendOneAsync(serving)) return;
            }
        }
        catch (ProcessDiedException)
        {
            // The connection is lost; what was not answered may or may not have happened.
        }
    }

    /// <summary>Reads the whole volume and tells which operation wrote each block; null if it could not all be read.</summary>
    public async Task<int[]?> ReadAllAsync(Serving serving)
    {
        var found = new int[plan.Blocks];
        // What lies behind the end is zeroes to the model: nobody can have written there who served before.
        var capacity = (int)serving.Volume.Geometry.CapacityBlocks;
        for (var lba = 0; lba < capacity;)
        {
            var blocks = Math.Min(capacity - lba, Math.Max(1, random.Next(1, 256)));
            var (result, tags) = await ReadTagsAsync(serving, lba, blocks, mayAbort: false);
            if (result.Error == BlockError.StoreUnavailable)
            {
                await world.DelayAsync(TimeSpan.FromMilliseconds(500));
                continue; // As an initiator does.
            }

            if (!result.IsSuccess) return null;
            tags!.CopyTo(found, lba);
            lba += blocks;
        }

        return found;
    }

    /// <summary>Writes made so far, by their number.</summary>
    public List<Write?> Writers { get; } = [null];

    public Task<BlockResult> WriteAsync(Serving serving) => WriteAsync(serving, PickRange(serving), random.Next(8) == 0);

    public Task<BlockResult> FlushAsync(Serving serving) => CommandAsync(serving, "flush", async abort =>
    {
        var completed = serving.History!.CompletedFloor;
        var result = await PathTo(serving).FlushAsync(abort);
        if (result.IsSuccess) judge.Flushed(serving, completed);
        world.Record("flushed", completed, (long)result.Error, null, serving.Process);
        return result;
    });

    /// <summary>Brings everything to the bucket; false if the volume stopped before.</summary>
    public Task<bool> DrainAsync(Serving serving) => serving.Process.RunAsync(async () =>
    {
        var completed = serving.History!.CompletedFloor;
        world.Record("drain", completed, 0, null, serving.Process);
        try
        {
            await serving.Volume.DrainAsync(default);
        }
        catch (VolumeException e)
        {
            judge.DrainFailed(serving, e);
            return false;
        }

        world.Record("drained", completed, 0, null, serving.Process);
        judge.Drained(serving, completed);
        return true;
    });

    /// <summary>One random command; false if the volume cannot serve any more.</summary>
    private async Task<bool> SendOneAsync(Serving serving)
    {
        var range = PickRange(serving);
        BlockResult result;
        switch (PickKind())
        {
            case 0:
                result = await WriteAsync(serving, range, random.Next(8) == 0);
                break;
            case 1:
                result = await ZeroAsync(serving, range, random.Next(8) == 0);
                break;
            case 2:
                result = await ReadAsync(serving, range);
                break;
            case 3:
                result = await FlushAsync(serving);
                break;
            default:
                return await DrainAsync(serving);
        }

        return result.IsSuccess || result.Error is BlockError.StoreUnavailable or BlockError.JournalFull or BlockError.Corrupt or BlockError.Aborted;
    }

    private Task<BlockResult> WriteAsync(Serving serving, BlockRange range, bool fua)
    {
        var kind = random.Next(10) switch { 0 => ContentKind.Zero, < 4 => ContentKind.Repeating, _ => ContentKind.Random };
        return IssueAsync(serving, range, kind, fua, async (write, abort) =>
        {
            var buffer = Rent();
            var list = new ScatterList();
            list.Add(buffer, (int)range.Blocks * plan.BlockBytes);
            for (var i = 0; i < write.Blocks; i++)
            {
                var block = buffer.Span.Slice(i * plan.BlockBytes, plan.BlockBytes);
                if (kind == ContentKind.Zero) block.Clear();
                else BlockContent.Fill(block, write.Id, kind, range.Lba + (ulong)i);
            }

            var result = await PathTo(serving).WriteAsync(range, list, fua, abort);
            // From now on the memory belongs to another command.
            buffer.Span[..(write.Blocks * plan.BlockBytes)].Fill(0xDB);
            _buffers.Push(buffer);
            return result;
        });
    }

    private Task<BlockResult> ZeroAsync(Serving serving, BlockRange range, bool fua) =>
        IssueAsync(serving, range, ContentKind.Zero, fua, async (_, abort) => await PathTo(serving).ZeroAsync(range, fua, abort));

    private Task<BlockResult> IssueAsync(Serving serving, BlockRange range, ContentKind kind, bool fua, Func<Write, CancellationToken, Task<BlockResult>> issue) =>
        CommandAsync(serving, kind == ContentKind.Zero ? "zero" : "write", async abort =>
        {
            var write = new Write(++_lastTag, range.Lba, (int)range.Blocks, kind);
            Writers.Add(write);
            serving.History!.Add(write);
            world.Record(fua ? "issue fua" : "issue", write.Id, (long)range.Lba, null, serving.Process);
            var result = await issue(write, abort);
            world.Record("answer", write.Id, (long)result.Error, null, serving.Process);
            if (result.IsSuccess) judge.Written(serving, write, fua);
            else write.State = result.Error == BlockError.Aborted ? WriteState.Aborted : WriteState.Failed;
            return result;
        });

    private async Task<BlockResult> ReadAsync(Serving serving, BlockRange range)
    {
        var (result, _) = await ReadTagsAsync(serving, (int)range.Lba, (int)range.Blocks, mayAbort: true);
        return result;
    }

    private async Task<(BlockResult Result, int[]? Tags)> ReadTagsAsync(Serving serving, int lba, int blocks, bool mayAbort)
    {
        int[]? tags = null;
        var result = await CommandAsync(serving, "read", async abort =>
        {
            var length = blocks * plan.BlockBytes;
            var buffer = Rent(length);
            buffer.Span[..length].Fill(0xEE);
            var list = new ScatterList();
            list.Add(buffer, length);
            var begunAt = world.Steps;
            world.Record("read blocks", lba, blocks, null, serving.Process);
            var result = await PathTo(serving).ReadAsync(new BlockRange((ulong)lba, (uint)blocks), list, abort);
            world.Record("read answer", lba, (long)result.Error, null, serving.Process);
            if (result.IsSuccess) tags = Recognize(serving, buffer.Span[..length], lba, begunAt);
            buffer.Span[..length].Fill(0xDB); // It belongs to another command now: what an aborted read still puts there shows.
            _buffers.Push(buffer);
            return result;
        }, mayAbort);
        return (result, tags);
    }

    private int[] Recognize(Serving serving, ReadOnlySpan<byte> data, int lba, long begunAt)
    {
        var tags = new int[data.Length / plan.BlockBytes];
        for (var i = 0; i < tags.Length; i++)
        {
            var block = data.Slice(i * plan.BlockBytes, plan.BlockBytes);
            var tag = BlockContent.TagOf(block);
            var isKnown = tag >= 0 && tag < Writers.Count;
            var kind = isKnown && tag > 0 ? Writers[tag]!.Kind : ContentKind.Zero;
            if (!isKnown || !BlockContent.Is(block, tag, kind, (ulong)(lba + i)))
                world.Fail($"Wrong bytes: a read of block {lba + i} through {serving.Process.Name} gave {Convert.ToHexString(block[..24])}, which nobody wrote there, or not whole.");
            else if (serving.History?.CheckRead(lba + i, tag, begunAt) is { } reason)
                world.Fail($"A read through {serving.Process.Name} is wrong: {reason}.");
            tags[i] = tag;
        }

        return tags;
    }

    /// <summary>Runs a command in the gateway's process; it must be answered in time, and with an error only for a reason.</summary>
    private async Task<BlockResult> CommandAsync(Serving serving, string name, Func<CancellationToken, Task<BlockResult>> run, bool mayAbort = true)
    {
        using var abort = new CancellationTokenSource();
        Task<BlockResult>? command = null;
        command = serving.Process.RunAsync(async () =>
        {
            if (mayAbort && random.Next(50) == 0) abort.Cancel();
            else if (mayAbort && random.Next(30) == 0) world.After((random.Next(3) == 0 ? plan.Options.CommandTimeout : plan.ThinkMax) * random.NextDouble(), Abort);
            var result = await run(abort.Token);
            if (result.IsSuccess) judge.Leases.Acknowledged(serving, name);
            return result;
        });
        var timeout = plan.Options.CommandTimeout / (1 - plan.ClockErrorMax);
        Watch("sent", timeout + AnswerSlack);
        var result = await command;
        if (!result.IsSuccess) judge.CommandFailed(serving, name, result, abort.IsCancellationRequested);
        return result;

        void Abort()
        {
            if (command is null or { IsCompleted: true } || serving.Process.IsDead || serving.Process.IsSuspended) return;
            abort.Cancel();
            Watch("aborted", AbortedAnswerMax);
        }

        void Watch(string what, TimeSpan limit)
        {
            var (begun, suspended) = (world.Now, serving.Process.SuspendedTotal);
            Look(limit);

            void Look(TimeSpan left) => world.After(left, () =>
            {
                if (command.IsCompleted || serving.Process.IsDead) return;
                var late = world.Now - begun - (serving.Process.SuspendedTotal - suspended) - limit;
                if (serving.Process.IsSuspended) Look(TimeSpan.FromSeconds(1));
                else if (late < TimeSpan.Zero) Look(-late);
                else world.Fail(string.Create(CultureInfo.InvariantCulture, $"A {name} through {serving.Process.Name}, {what} at {begun.TotalSeconds:F6} s, has no answer after {(world.Now - begun).TotalSeconds:F1} s."));
            });
        }
    }

    private ScsiPath PathTo(Serving serving) => serving.Path ??= new ScsiPath(world, serving.Volume, random);

    private int PickKind()
    {
        var drawn = random.Next(plan.Mix.Sum());
        var kind = 0;
        while ((drawn -= plan.Mix[kind]) >= 0) kind++;
        return kind;
    }

    private BlockRange PickRange(Serving serving)
    {
        var capacity = (int)serving.Volume.Geometry.CapacityBlocks;
        // As in production, a command is small beside the journal.
        var blocksMax = (int)Math.Min(Math.Min(capacity, 64), plan.JournalBytes / 4 / plan.BlockBytes);
        var blocks = Math.Min(blocksMax, random.Next(8) == 0 ? random.Next(1, 64) : random.Next(1, plan.LengthMax + 1));
        var first = random.Next(10) == 0 ? random.Next(capacity) : random.Next(Math.Min(plan.HotBlocks, capacity));
        if (plan.ResizesMax > 0 && random.Next(6) == 0) first = capacity - 1; // At the end, which was another a moment ago.
        return new BlockRange((ulong)Math.Min(first, capacity - blocks), (uint)blocks);
    }

    private NativeBuffer Rent(int lengthBytes = 0)
    {
        lengthBytes = Math.Max(lengthBytes, 256 * plan.BlockBytes);
        return _buffers.TryPop(out var buffer) ? buffer : new NativeBuffer(lengthBytes);
    }
}
