using Gateway.Scsi;
using Gateway.Volumes.Interop;

namespace Gateway.Volumes.Journal;

/// <summary>
/// Stands in for a journal directory where there is none: each journal is anonymous memory, new at every opening. So a volume is write-back in
/// memory, within the journal's capacity, and only the bucket makes a flush durable.
/// </summary>
internal sealed class MemoryJournalDirectory : IJournalDirectory
{
    public string Name => "memory";

    public bool IsVolatile => true;

    public bool Exists(string name) => false;

    public IJournalDisk Open(string name) => throw new FileNotFoundException("A journal in memory does not outlive its volume.");

    public IJournalDisk Create(string name, long lengthBytes) => new MemoryDisk(lengthBytes);

    public void Rename(string from, string to)
    {
        // Names mean nothing here.
    }

    private sealed class MemoryDisk(long lengthBytes) : IJournalDisk
    {
        private readonly AnonymousMemory _memory = new(lengthBytes);

        public string Name => "in memory";

        public long LengthBytes => lengthBytes;

        public ValueTask WriteAsync(ScatterList content, long offsetBytes)
        {
            foreach (var piece in content.Segments)
            {
                _memory.Write(piece.AsSpan(), offsetBytes);
                offsetBytes += piece.LengthBytes;
            }

            return ValueTask.CompletedTask;
        }

        public ValueTask ReadAsync(Memory<byte> destination, long offsetBytes)
        {
            _memory.Read(destination.Span, offsetBytes);
            return ValueTask.CompletedTask;
        }

        public ValueTask FlushAsync() => ValueTask.CompletedTask;

        public void Dispose() => _memory.Dispose();
    }
}
