using System.Globalization;
using Gateway.Backends.Core;
using Gateway.Transfer.Images;
using Gateway.Volumes;
using Gateway.Volumes.Leases;
using Microsoft.Extensions.Logging;

namespace Gateway.Transfer;

/// <summary>
/// Fills a new volume from a disk image. Every so often it brings what was written to the bucket and notes there how far it is, so that a run which is
/// interrupted in any way is gone on with by the next. When all is there, the volume is opened anew, read back from the bucket and compared. Only then may
/// gateways serve it.
/// </summary>
/// <remarks>It needs no local disk: what is not in the bucket is in memory, and is copied again.</remarks>
public sealed class VolumeImporter
{
    /// <summary>Bytes that are read and written at a time.</summary>
    private const int PieceBytes = 1 << 20;

    private const int PiecesAtOnce = 16;

    /// <summary>What may be in memory on its way to the bucket.</summary>
    private const long WindowBytes = 256L << 20;

    private static readonly TimeSpan SaveLastTimeout = TimeSpan.FromSeconds(10);

    /// <summary>A run that was killed keeps the next one waiting for about twice this.</summary>
    private static readonly TimeSpan Lease = TimeSpan.FromSeconds(15);

    private readonly IBlobStore _store;
    private readonly VolumeImports _imports;
    private readonly VolumeOptions _options;
    private readonly string _owner;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly PieceRunner _pieces = new(PieceBytes, PiecesAtOnce);
    private Task _saving = Task.CompletedTask;

    /// <param name="store">Where the volume is going to be.</param>
    /// <param name="options">How volumes are written; lease, durability and caches are the import's own.</param>
    /// <param name="owner">Who this is, for people.</param>
    /// <param name="time">A clock that counts suspension.</param>
    /// <param name="logger">Lifecycle and failures of the volume.</param>
    public VolumeImporter(IBlobStore store, VolumeOptions options, string owner, TimeProvider time, ILogger logger)
    {
        _store = store;
        _imports = new VolumeImports(store, time);
        _options = options with
        {
            LeaseLength = Lease,
            Takeover = TakeoverPolicy.WhenSilent,
            Durability = Durability.Bucket,
            CacheBytes = 0,
            CacheFileBytes = 0,
            CommandTimeout = TimeSpan.FromSeconds(60),
            CloseTimeout = TimeSpan.FromSeconds(30),
        };
        _owner = owner;
        _time = time;
        _logger = logger;
    }

    /// <summary>The lease of its own; zero for tests that kill it over and over.</summary>
    internal TimeSpan LeaseLength
    {
        init => _options = _options with { LeaseLength = value };
    }

    /// <summary>Told how far it is; many times a second.</summary>
    public IProgress<TransferProgress>? Progress { get; init; }

    /// <summary>Told why it waits: for the lease of a run that was interrupted, or for the store.</summary>
    public Action<string> Waits { get; init; } = _ => { };

    /// <summary>How often it brings all to the bucket and notes how far it is.</summary>
    internal TimeSpan SaveEvery { get; init; } = TimeSpan.FromSeconds(2);

    /// <summary>False: leaves out the reading back.</summary>
    public bool Verify { get; init; } = true;

    /// <summary>Imports, or goes on with an import.</summary>
    /// <param name="image">The disk; nobody may change it meanwhile.</param>
    /// <param name="name">The volume, which is made, or was by an earlier run.</param>
    /// <param name="spec">What it is to be; at least as large as the disk.</param>
    /// <param name="cancellationToken">Interrupts it: what was copied stays, and another run goes on.</param>
    /// <exception cref="ImageException">The image is damaged, or was changed meanwhile.</exception>
    /// <exception cref="VolumeException">The volume cannot be made or opened, or what was read back differs.</exception>
    /// <exception cref="BlobStoreException">The store failed.</exception>
    /// <exception cref="OperationCanceledException">It was interrupted.</exception>
    public async Task<TransferOutcome> RunAsync(DiskImage image, string name, VolumeSpec spec, CancellationToken cancellationToken)
    {
        if (spec.SizeBytes < image.SizeBytes)
            throw new VolumeException(VolumeErrorKind.InvalidArgument, string.Create(CultureInfo.InvariantCulture, $"A volume of {spec.SizeBytes} bytes is smaller than the disk, which has {image.SizeBytes} bytes."));
        var source = image.Identity;
        var point = await _imports.BeginAsync(name, spec, source, cancellationToken);
        var resumedAt = point.PositionBytes;
        var copied = 0L;
        if (!point.IsVerifying)
        {
            copied = await UseVolumeAsync(name, source, (volume, cancellation) => CopyAsync(image, volume, point, cancellation), cancellationToken);
            RefuseChanged(image, source);
            point = new ImportPoint(name, 0, true);
            await _imports.SaveAsync(point, cancellationToken);
        }

        if (Verify)
        {
            await UseVolumeAsync(name, source, (volume, cancellation) => VerifyAsync(image, volume, point, cancellation), cancellationToken);
            RefuseChanged(image, source);
        }

        await _imports.FinishAsync(name, cancellationToken);
        return new TransferOutcome(image.SizeBytes, copied, resumedAt, Verify);
    }

    /// <summary>Opens the volume, and closes it again whatever happens: the next run then finds it released.</summary>
    private async Task<T> UseVolumeAsync<T>(string name, string source, Func<VolumeIo, CancellationToken, Task<T>> use, CancellationToken cancellationToken)
    {
        var journal = new JournalOptions { Directory = null, CapacityBytes = WindowBytes };
        var opener = new VolumeOpener(_store, _options, journal, _owner, _time, new Random(Environment.ProcessId), _logger)
        {
            ImportOf = source,
            Waits = wait => Waits(string.Create(CultureInfo.InvariantCulture, $"{Math.Ceiling(wait.Left.TotalSeconds)} s left: {wait.Reason}")),
        };
        await using var volume = await opener.OpenAsync(name, cancellationToken);
        try
        {
            return await use(new VolumeIo(volume, name, Waits), cancellationToken);
        }
        finally
        {
            await _pieces.AbandonAsync(); // Their buffers belong to the volume until they end.
            await _saving.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            _saving = Task.CompletedTask;
        }
    }

    private async Task<long> CopyAsync(DiskImage image, VolumeIo volume, ImportPoint start, CancellationToken cancellationToken)
    {
        var data = 0L;
        var saved = (At: _time.GetTimestamp(), Position: start.PositionBytes);
        try
        {
            await EachPieceAsync(
                image, start.PositionBytes, skipsZeroes: true,
                async (position, length, buffer) =>
                {
                    var padded = await FillAsync(image, volume, position, length, buffer, cancellationToken);
                    if (!buffer.Bytes(length).Span.ContainsAnyExcept((byte)0)) return;
                    await volume.WriteAsync(position, buffer, padded, cancellationToken);
                    Interlocked.Add(ref data, length);
                },
                async () =>
                {
                    Progress?.Report(new TransferProgress(TransferPhase.Copy, _pieces.DoneBytes, image.SizeBytes, Interlocked.Read(ref data)));
                    if (!_saving.IsCompleted || (_time.GetElapsedTime(saved.At) < SaveEvery && _pieces.DoneBytes - saved.Position < WindowBytes)) return;
                    await _saving;
                    saved = (_time.GetTimestamp(), _pieces.DoneBytes);
                    _saving = SaveAsync(volume, start with { PositionBytes = saved.Position }, cancellationToken);
                },
                cancellationToken);
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            await SaveLastAsync(volume, start);
            throw;
        }

        await _saving;
        await volume.FlushAsync(cancellationToken);
        Progress?.Report(new TransferProgress(TransferPhase.Copy, image.SizeBytes, image.SizeBytes, data));
        return data;
    }

    /// <summary>Notes how far an interrupted run was, if the store does that soon.</summary>
    private async Task SaveLastAsync(VolumeIo volume, ImportPoint start)
    {
        await _saving.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        using var limit = new CancellationTokenSource(SaveLastTimeout, _time);
        await SaveAsync(volume, start with { PositionBytes = _pieces.DoneBytes }, limit.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
    }

    /// <summary>Everything below the point was written when this is called; it is noted once that is in the bucket.</summary>
    private async Task SaveAsync(VolumeIo volume, ImportPoint point, CancellationToken cancellationToken)
    {
        await volume.FlushAsync(cancellationToken);
        await _imports.SaveAsync(point, cancellationToken);
    }

    private async Task<bool> VerifyAsync(DiskImage image, VolumeIo volume, ImportPoint start, CancellationToken cancellationToken)
    {
        var data = 0L;
        var savedAt = _time.GetTimestamp();
        await EachPieceAsync(
            image, start.PositionBytes, skipsZeroes: false,
            async (position, length, buffer) =>
            {
                var expected = buffer.Others(length);
                await image.ReadAsync(position, expected, cancellationToken);
                await volume.ReadAsync(position, buffer, Padded(volume, length), cancellationToken);
                var same = buffer.Bytes(length).Span.CommonPrefixLength(expected.Span);
                if (same < length) throw Differs(volume, position + same);
                Interlocked.Add(ref data, length);
            },
            async () =>
            {
                Progress?.Report(new TransferProgress(TransferPhase.Verify, _pieces.DoneBytes, image.SizeBytes, Interlocked.Read(ref data)));
                if (_time.GetElapsedTime(savedAt) < SaveEvery) return;
                savedAt = _time.GetTimestamp();
                await _imports.SaveAsync(start with { PositionBytes = _pieces.DoneBytes }, cancellationToken);
            },
            cancellationToken);
        Progress?.Report(new TransferProgress(TransferPhase.Verify, image.SizeBytes, image.SizeBytes, data));
        return true;
    }

    /// <summary>Runs over the image from a position on. <paramref name="between"/> is called after each piece was started.</summary>
    private async Task EachPieceAsync(DiskImage image, long from, bool skipsZeroes, Func<long, int, PieceBuffer, Task> work, Func<Task> between, CancellationToken cancellationToken)
    {
        from -= from % PieceBytes;
        _pieces.Begin(from);
        for (var position = from; position < image.SizeBytes;)
        {
            cancellationToken.ThrowIfCancellationRequested();
            var extent = await image.FindAsync(position, cancellationToken);
            var pieceEnd = Math.Min(image.SizeBytes, position - (position % PieceBytes) + PieceBytes);
            var extentEnd = position + extent.LengthBytes;
            if (extent.IsZero && skipsZeroes && extentEnd >= pieceEnd)
            {
                // Whole pieces without data, and what is left of this one.
                position = extentEnd == image.SizeBytes ? extentEnd : Math.Max(pieceEnd, extentEnd - (extentEnd % PieceBytes));
                _pieces.Skip(position);
            }
            else
            {
                var (at, length) = (position, (int)(pieceEnd - position));
                position = pieceEnd;
                await _pieces.AddAsync(pieceEnd, buffer => work(at, length, buffer));
            }

            await between();
        }

        await _pieces.EndAsync();
    }

    private static async ValueTask<int> FillAsync(DiskImage image, VolumeIo volume, long position, int length, PieceBuffer buffer, CancellationToken cancellationToken)
    {
        await image.ReadAsync(position, buffer.Bytes(length), cancellationToken);
        var padded = Padded(volume, length);
        buffer.Bytes(padded).Span[length..].Clear(); // A disk may end within a block.
        return padded;
    }

    private static int Padded(VolumeIo volume, int length) => (length + volume.BlockBytes - 1) / volume.BlockBytes * volume.BlockBytes;

    private static void RefuseChanged(DiskImage image, string source)
    {
        if (image.CurrentIdentity() is var now && now != source)
            throw new ImageException($"The disk was changed while it was read: it was {source}, and is {now}. What was imported is of no use. Remove the volume ('tcmu-gateway volume rm --keep 0'), and import a disk that nobody changes.");
    }

    private static VolumeException Differs(VolumeIo volume, long position) => new(
        VolumeErrorKind.Damaged,
        string.Create(CultureInfo.InvariantCulture, $"What was read back from the bucket differs from the disk at byte {position} (LBA {position / volume.BlockBytes}). Either the disk was changed after it was copied, or the store damages data. Nobody can open the volume. Remove it ('tcmu-gateway volume rm --keep 0'), and import it again."));
}
