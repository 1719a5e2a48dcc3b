using Gateway.Backends.Core;
using Gateway.Simulation.Scheduling;
using Gateway.Volumes.Cache;
using Gateway.Volumes.Journal;

namespace Gateway.Simulation.Disk;

/// <summary>The directory of a host for journals and caches, as one of its processes sees it.</summary>
internal sealed class HostDirectory(World world, SimulatedHost host, SimulatedProcess process) : IJournalDirectory, ICacheDirectory
{
    public bool Exists(string name) => host.Files.ContainsKey(name);

    public IJournalDisk Open(string name) => Lock(name, host.Files[name]);

    public IJournalDisk Create(string name, long lengthBytes)
    {
        if (host.Random.NextDouble() < host.Plan.NoSpaceRate)
        {
            host.DiskFailed = true;
            throw new IOException("No space left on device (simulated).");
        }

        var file = new SimulatedFile(lengthBytes);
        // What a disk held before is there until it is written over.
        host.Random.NextBytes(file.Durable.AsSpan(0, Math.Min(4096, (int)lengthBytes)));
        file.Durable.CopyTo(file.Current, 0);
        host.Files[name] = file;
        return Lock(name, file);
    }

    IJournalDisk ICacheDirectory.Open(string name, long lengthBytes)
    {
        if (!host.Files.TryGetValue(name, out var file) || file.Current.LongLength != lengthBytes)
        {
            if (host.Random.NextDouble() < host.Plan.NoSpaceRate) throw new IOException("No space left on device (simulated).");
            host.Files[name] = file = new SimulatedFile(lengthBytes) { IsCache = true };
        }

        return Lock(name, file);
    }

    public void Rename(string from, string to)
    {
        if (host.Files.ContainsKey(to)) throw new IOException($"'{to}' exists (simulated).");
        var file = host.Files[from];
        host.Files.Remove(from);
        host.Files[to] = file;
        file.HasDurableName = true;
    }

    public void KeepAside(string from, string to)
    {
        Rename(from, to);
        host.KeptAside(to);
    }

    private HostFile Lock(string name, SimulatedFile file)
    {
        if (file.IsLocked) throw new IOException($"'{name}' is in use by another process (simulated).");
        return new HostFile(world, host, process, name, file);
    }
}

/// <summary>A file that a process has open.</summary>
internal sealed class HostFile : IJournalDisk
{
    private readonly World _world;
    private readonly SimulatedHost _host;
    private readonly SimulatedProcess _process;
    private readonly SimulatedFile _file;
    private readonly List<Action> _half = [];
    private bool _isOpen = true;

    public HostFile(World world, SimulatedHost host, SimulatedProcess process, string name, SimulatedFile file)
    {
        _world = world;
        _host = host;
        _process = process;
        _file = file;
        Name = $"{host.Name}:{name}";
        file.IsLocked = true;
        process.OnDeath(() =>
        {
            // Writes that were being carried out: any part of them may be.
            foreach (var half in _half) half();
            _half.Clear();
            Dispose();
        });
    }

    public string Name { get; }

    public long LengthBytes => _file.Current.Length;

    public async ValueTask WriteAsync(Scsi.ScatterList content, long offsetBytes)
    {
        CheckOpen();
        if (offsetBytes < 0 || offsetBytes + content.LengthBytes > LengthBytes) throw new IOException("Write past the end of the file (simulated).");
        var length = content.LengthBytes;
        var delay = DrawDelay(_host.Plan.AccessMax);
        if (delay > TimeSpan.Zero)
        {
            var early = Copy();
            Action half = () => WritePart(early, offsetBytes);
            _half.Add(half);
            await DelayAsync(delay);
            _half.Remove(half);
        }

        var bytes = Copy();
        _world.Record("disk write", offsetBytes, Crc32C.Compute(bytes), null, _process);
        if (Fails(_host.Plan.WriteErrorRate))
        {
            WritePart(bytes, offsetBytes);
            throw Error("write");
        }

        _file.Write(offsetBytes, bytes);

        byte[] Copy()
        {
            var copy = new byte[length];
            content.CopyTo(0, copy);
            return copy;
        }
    }

    public async ValueTask ReadAsync(Memory<byte> destination, long offsetBytes)
    {
        CheckOpen();
        var delay = DrawDelay(_host.Plan.AccessMax);
        if (delay > TimeSpan.Zero) await DelayAsync(delay);
        CheckOpen();
        if (Fails(_host.Plan.ReadErrorRate)) throw Error("read");
        _file.Current.AsSpan((int)offsetBytes, destination.Length).CopyTo(destination.Span);
        if (_file.IsCache && _host.Random.NextDouble() < _host.Plan.CacheRotRate) destination.Span[_host.Random.Next(destination.Length)] ^= (byte)(1 << _host.Random.Next(8));
    }

    public async ValueTask FlushAsync()
    {
        CheckOpen();
        var writes = _file.WritesTotal;
        _world.Record("disk flush", writes, 0, null, _process);
        var delay = _host.Plan.FlushMax * _host.Random.NextDouble();
        if (_host.Random.NextDouble() < _host.Plan.SlowRate) delay = _host.Plan.SlowMax * _host.Random.NextDouble();
        await DelayAsync(delay);
        if (_host.Plan.Lies) return;
        if (Fails(_host.Plan.FlushErrorRate))
        {
            _file.LoseSome(writes, _host.Random);
            throw Error("flush");
        }

        _file.Sync(writes);
        _world.Record("disk flushed", writes, 0, null, _process);
    }

    public void Dispose()
    {
        if (!_isOpen) return;
        _isOpen = false;
        _file.IsLocked = false;
    }

    /// <summary>Does any part of a write, sector by sector.</summary>
    private void WritePart(byte[] content, long offset)
    {
        var share = _host.Random.NextDouble();
        for (var at = 0; at < content.Length; at += SimulatedFile.SectorBytes)
            if (_host.Random.NextDouble() < share) _file.Write(offset + at, content.AsSpan(at, Math.Min(SimulatedFile.SectorBytes, content.Length - at)).ToArray());
    }

    private TimeSpan DrawDelay(TimeSpan max)
    {
        var (cached, slow, share) = (_host.Random.NextDouble() < _host.Plan.CachedShare, _host.Random.NextDouble() < _host.Plan.SlowRate, _host.Random.NextDouble());
        return slow ? _host.Plan.SlowMax * share : cached ? TimeSpan.Zero : max * share;
    }

    private Task DelayAsync(TimeSpan delay) => _world.DelayAsync(delay);

    private bool Fails(double rate)
    {
        if (_host.Random.NextDouble() >= rate) return false;
        _host.DiskFailed |= !_file.IsCache; // What happens to a cache is no reason for anything.
        return true;
    }

    private void CheckOpen()
    {
        // As a closed SafeHandle answers.
        ObjectDisposedException.ThrowIf(!_isOpen, this);
    }

    private IOException Error(string verb)
    {
        _world.Record("disk error", detail: verb, process: _process);
        return new IOException($"Input/output error of {verb} '{Name}' (simulated).");
    }
}
