using Gateway.Scsi;
using Gateway.Volumes.Cache;
using Gateway.Volumes.Journal;

namespace Gateway.Tests.Shared;

/// <summary>A journal disk in memory that forgets like a real one: what was not flushed may be lost, in any order, torn at 512 bytes.</summary>
internal sealed class SimulatedDisk(string name, byte[] durable) : IJournalDisk
{
    public const int SectorBytes = 512;

    private readonly Lock _gate = new();
    private readonly byte[] _current = [.. durable];
    private readonly byte[] _durable = [.. durable];
    private readonly HashSet<long> _dirtySectors = [];

    public string Name { get; } = name;

    public long LengthBytes => _current.Length;

    /// <summary>Flushes fail from now on.</summary>
    public bool FailFlushes { get; set; }

    /// <summary>Writes throw this from now on.</summary>
    public Exception? WriteFailure { get; set; }

    /// <summary>Reads throw this from now on.</summary>
    public Exception? ReadFailure { get; set; }

    /// <summary>Flushes do nothing but succeed: a disk that lies.</summary>
    public bool IgnoreFlushes { get; set; }

    public int Flushes { get; private set; }

    /// <summary>Calls of <see cref="WriteAsync"/> that succeeded.</summary>
    public int Writes { get; private set; }

    public ValueTask WriteAsync(ScatterList content, long offsetBytes)
    {
        if (WriteFailure is { } failure) throw failure;
        lock (_gate)
        {
            var length = content.LengthBytes;
            if (offsetBytes + length > _current.Length) throw new IOException("Write past the end of the simulated disk.");
            content.CopyTo(0, _current.AsSpan((int)offsetBytes, length));
            for (var sector = offsetBytes / SectorBytes; sector * SectorBytes < offsetBytes + length; sector++) _dirtySectors.Add(sector);
            Writes++;
        }

        return ValueTask.CompletedTask;
    }

    public ValueTask ReadAsync(Memory<byte> destination, long offsetBytes)
    {
        if (ReadFailure is { } failure) throw failure;
        lock (_gate) _current.AsMemory((int)offsetBytes, destination.Length).CopyTo(destination);
        return ValueTask.CompletedTask;
    }

    public async ValueTask FlushAsync()
    {
        await Task.Yield();
        lock (_gate)
        {
            if (FailFlushes) throw new IOException("Input/output error (by design of the test).");
            Flushes++;
            if (IgnoreFlushes) return;
            foreach (var sector in _dirtySectors) Keep(_durable, sector);
            _dirtySectors.Clear();
        }
    }

    /// <summary>Changes a bit of every sector in a range: what the disk returns there is not what was written.</summary>
    public void Rot(long offsetBytes, long lengthBytes)
    {
        lock (_gate)
        {
            for (var at = offsetBytes; at < offsetBytes + lengthBytes; at += SectorBytes) _current[at + (at / SectorBytes % SectorBytes)] ^= 1;
        }
    }

    /// <summary>What a process kill leaves: everything written.</summary>
    public byte[] AfterKill()
    {
        lock (_gate) return [.. _current];
    }

    /// <summary>What a power cut leaves: everything flushed, and of the rest each sector or not.</summary>
    public byte[] AfterPowerCut(Random random)
    {
        lock (_gate)
        {
            var left = (byte[])_durable.Clone();
            var share = random.NextDouble();
            foreach (var sector in _dirtySectors.Order())
                if (random.NextDouble() < share) Keep(left, sector);
            return left;
        }
    }

    public void Dispose()
    {
    }

    private void Keep(byte[] image, long sector) => _current.AsSpan((int)(sector * SectorBytes), SectorBytes).CopyTo(image.AsSpan((int)(sector * SectorBytes)));
}

/// <summary>A journal directory of simulated disks.</summary>
internal sealed class SimulatedJournalDirectory : IJournalDirectory, ICacheDirectory
{
    private readonly Dictionary<string, SimulatedDisk> _disks = new(StringComparer.Ordinal);

    public IEnumerable<SimulatedDisk> Disks => _disks.Values;

    public IReadOnlyCollection<string> Names => _disks.Keys;

    /// <summary>The directory after a restart, with what a kill or a power cut left of each file.</summary>
    public SimulatedJournalDirectory AfterCrash(Func<SimulatedDisk, byte[]> image)
    {
        var after = new SimulatedJournalDirectory();
        foreach (var (name, disk) in _disks) after._disks[name] = new SimulatedDisk(name, image(disk));
        return after;
    }

    public bool Exists(string name) => _disks.ContainsKey(name);

    public IJournalDisk Open(string name) => _disks[name];

    public IJournalDisk Create(string name, long lengthBytes) => _disks[name] = new SimulatedDisk(name, new byte[lengthBytes]);

    IJournalDisk ICacheDirectory.Open(string name, long lengthBytes) =>
        _disks.TryGetValue(name, out var disk) && disk.LengthBytes == lengthBytes ? disk : Create(name, lengthBytes);

    public void Rename(string from, string to)
    {
        _disks[to] = _disks[from];
        _disks.Remove(from);
    }

    public void KeepAside(string from, string to)
    {
        if (!_disks.TryAdd(to, _disks[from])) throw new IOException($"'{to}' exists.");
        _disks.Remove(from);
    }
}
