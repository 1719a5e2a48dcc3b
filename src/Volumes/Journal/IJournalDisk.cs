using Gateway.Scsi;

namespace Gateway.Volumes.Journal;

/// <summary>The local file under a journal: a fault point, so that simulations can lose, tear and rot what was written.</summary>
/// <remarks>Failures are <see cref="IOException"/>s. One writer at a time; reads may run beside it.</remarks>
internal interface IJournalDisk : IDisposable
{
    /// <summary>For messages: the path.</summary>
    string Name { get; }

    /// <summary>Length of the file in bytes.</summary>
    long LengthBytes { get; }

    /// <summary>Writes all pieces from <paramref name="offsetBytes"/> on, in order. Volatile until <see cref="FlushAsync"/>.</summary>
    ValueTask WriteAsync(ScatterList content, long offsetBytes);

    /// <summary>Fills all of <paramref name="destination"/>.</summary>
    ValueTask ReadAsync(Memory<byte> destination, long offsetBytes);

    /// <summary>Makes everything written before the call durable. After a failure nothing more may be assumed of the file. One call at a time.</summary>
    ValueTask FlushAsync();

    /// <summary>The same for a caller that goes on with little work: it may do so on the disk's own thread, which the next flush needs.</summary>
    ValueTask FlushBrieflyAsync() => FlushAsync();
}

/// <summary>Where journals live: a directory on local disk, memory, or a simulated disk. Failures are <see cref="IOException"/>s.</summary>
internal interface IJournalDirectory
{
    /// <summary>For messages: the path.</summary>
    string Name => "the journal directory";

    /// <summary>True if nothing here outlives the process: then only the bucket can make a flush durable.</summary>
    bool IsVolatile => false;

    /// <summary>Finds out, once, whether a flush here can be believed.</summary>
    /// <exception cref="VolumeException">It cannot; the message says what to do.</exception>
    ValueTask ProbeAsync() => ValueTask.CompletedTask;

    bool Exists(string name);

    /// <summary>Opens an existing file, for this process alone.</summary>
    IJournalDisk Open(string name);

    /// <summary>Makes a file with its space reserved, for this process alone, in place of an unfinished one that nobody works on.</summary>
    IJournalDisk Create(string name, long lengthBytes);

    /// <summary>Renames durably. Fails, and changes nothing, if the new name is taken.</summary>
    void Rename(string from, string to);

    /// <summary>Renames a journal durably, without opening it. It is never removed: fails, and changes nothing, if the new name is taken.</summary>
    void KeepAside(string from, string to) => Rename(from, to);
}
