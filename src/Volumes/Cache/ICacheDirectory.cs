using Gateway.Volumes.Journal;

namespace Gateway.Volumes.Cache;

/// <summary>Where cache files are: a directory on local disk, or a simulated one. A fault point. Failures are <see cref="IOException"/>s.</summary>
internal interface ICacheDirectory
{
    /// <summary>Opens a file of exactly that length, for this process alone; makes it, with its space reserved, in place of one of another length.</summary>
    IJournalDisk Open(string name, long lengthBytes);
}
