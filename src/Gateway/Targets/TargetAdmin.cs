using Gateway.Configuration;
using Gateway.Control.V1;
using Gateway.Lio;
using Gateway.Serving;
using Gateway.Volumes;
using Grpc.Core;

namespace Gateway.Targets;

/// <summary>A change of the exports that cannot be made; the message says what to do.</summary>
internal sealed class TargetException(StatusCode status, string message) : Exception(message)
{
    public StatusCode Status => status;
}

/// <summary>Changes and lists exports for whoever asks by the control API. A change that LIO does not take is taken back. Thread safe.</summary>
internal sealed class TargetAdmin(GatewayService gateway, TargetKeeper keeper, ExportBook book, StoreSet stores, KernelRoots roots) : IDisposable
{
    private readonly SemaphoreSlim _oneAtATime = new(1);

    public ListTargetsReply List()
    {
        var reply = new ListTargetsReply { Faults = { keeper.Faults.Select(f => f.ToString()) } };
        var all = keeper.Targets;
        reply.Targets.AddRange(all.Iscsi.OrderBy(t => t.Key, StringComparer.Ordinal).Select(t => ToWire(t.Key, t.Value)));
        reply.Targets.AddRange(all.Loopback.OrderBy(t => t.Key, StringComparer.Ordinal).Select(t => ToWire("loopback", t.Key, t.Value)));
        reply.Targets.AddRange(all.Vhost.OrderBy(t => t.Key, StringComparer.Ordinal).Select(t => ToWire("vhost", t.Key, t.Value)));
        return reply;
    }

    /// <summary>Has LIO looked at again.</summary>
    public Task RefreshAsync(CancellationToken cancellationToken) => keeper.ReconcileAsync(cancellationToken);

    /// <summary>Whether a volume is exported here, by the file or by command.</summary>
    public bool Exports(VolumePath volume) => keeper.Targets.Volumes.Contains(volume.ToString());

    public async Task<Target> ExportAsync(ExportRequest request, CancellationToken cancellationToken)
    {
        var path = VolumePath.Parse(request.Volume);
        _ = await new VolumeCatalog(stores.Get(path.Store), TimeProvider.System).IdentifyAsync(path.Volume, cancellationToken); // It must be there.
        var kind = request.Kind.Length == 0 ? "iscsi" : request.Kind;
        var name = request.Target.Length > 0 ? request.Target : DefaultName(kind, path);
        await ChangeAsync(kind, name, $"volume {path}", book => kind switch
        {
            "iscsi" => book with { Iscsi = With(book.Iscsi, name, AddTo(book.Iscsi.GetValueOrDefault(name), path, request)) },
            "loopback" => book with { Loopback = With(book.Loopback, name, AddTo(book.Loopback.GetValueOrDefault(name), path, request)) },
            "vhost" => book with { Vhost = With(book.Vhost, name, AddTo(book.Vhost.GetValueOrDefault(name), path, request)) },
            _ => throw new TargetException(StatusCode.InvalidArgument, $"'{kind}' is no kind of target: write iscsi, loopback or vhost."),
        }, cancellationToken);
        return Find(kind, name);
    }

    public async Task<UnexportReply> UnexportAsync(UnexportRequest request, CancellationToken cancellationToken)
    {
        if (request.Volume.Length == 0 && request.Target.Length == 0) throw new TargetException(StatusCode.InvalidArgument, "Name a volume, a target, or both.");
        if (request.Volume.Length > 0) _ = VolumePath.Parse(request.Volume);
        var changed = new List<string>();
        await _oneAtATime.WaitAsync(cancellationToken);
        try
        {
            var before = book.Targets;
            var after = before with
            {
                Iscsi = Without(before.Iscsi, t => t.Luns, (t, luns) => t with { Luns = luns }),
                Loopback = Without(before.Loopback, t => t.Luns, (t, luns) => t with { Luns = luns }),
                Vhost = Without(before.Vhost, t => t.Luns, (t, luns) => t with { Luns = luns }),
            };
            if (changed.Count == 0)
            {
                var what = request.Volume.Length > 0 ? request.Volume : request.Target;
                throw keeper.Targets.Volumes.Contains(request.Volume) || keeper.Targets.Iscsi.ContainsKey(request.Target)
                    ? new TargetException(StatusCode.FailedPrecondition, $"{what} is exported by the configuration file: take it out there.")
                    : new TargetException(StatusCode.NotFound, $"{what} is not exported. 'tcmu-gateway target list' shows what is.");
            }

            book.Replace(after);
            var faults = await keeper.ReconcileAsync(cancellationToken);
            book.SweepSecrets();
            var own = faults.Where(f => changed.Exists(name => f.Item.EndsWith(name, StringComparison.Ordinal)) || (request.Volume.Length > 0 && f.Item == $"backstore {DesiredTargets.BackstoreName(request.Volume)}")).ToArray();
            if (own.Length > 0) throw new TargetException(StatusCode.Aborted, $"Not all of it is gone yet, and it is tried again: {string.Join("; ", own)}");
            return new UnexportReply { Targets = { changed } };
        }
        finally
        {
            _oneAtATime.Release();
        }

        Dictionary<string, T> Without<T>(Dictionary<string, T> targets, Func<T, List<LunSection>> lunsOf, Func<T, List<LunSection>, T> with)
        {
            var left = new Dictionary<string, T>(StringComparer.Ordinal);
            foreach (var (name, target) in targets)
            {
                // A logical unit keeps its number when one before it goes.
                var luns = LunSection.Numbered(lunsOf(target)).Where(l => request.Volume.Length > 0 && l.Section.Volume != request.Volume).Select(l => l.Section with { Lun = l.Lun }).ToList();
                var isNamed = request.Target.Length == 0 || request.Target == name;
                if (!isNamed || luns.Count == lunsOf(target).Count) left.Add(name, target);
                else changed.Add(name);
                if (isNamed && luns.Count > 0 && luns.Count < lunsOf(target).Count) left.Add(name, with(target, luns));
            }

            return left;
        }
    }

    public async Task<Target> SetInitiatorAsync(SetInitiatorRequest request, CancellationToken cancellationToken)
    {
        await ChangeAsync("iscsi", request.Target, null, before =>
        {
            var target = Added(before, request.Target);
            var initiators = new Dictionary<string, InitiatorSection>(target.Initiators, StringComparer.Ordinal);
            if (request.Remove && !initiators.Remove(request.Initiator)) throw new TargetException(StatusCode.NotFound, $"{request.Initiator} is not among the initiators of {request.Target}.");
            if (request.Remove && initiators.Count == 0) throw new TargetException(StatusCode.FailedPrecondition, $"{request.Initiator} is the last initiator of {request.Target}: without one anybody could log in. Unexport the target instead.");
            if (!request.Remove) initiators.TryAdd(request.Initiator, new InitiatorSection());
            return before with { Iscsi = With(before.Iscsi, request.Target, target with { Initiators = initiators }) };
        }, cancellationToken);
        return Find("iscsi", request.Target);
    }

    public async Task<Target> SetChapAsync(SetChapRequest request, CancellationToken cancellationToken)
    {
        await ChangeAsync("iscsi", request.Target, null, before =>
        {
            var target = Added(before, request.Target);
            var purpose = $"{request.Target} {request.Initiator}";
            CheckSecret(request.Secret, request.User);
            CheckSecret(request.MutualSecret, request.MutualUser);
            var chap = request.User.Length == 0 ? null : new ChapSection { User = request.User, SecretFile = book.KeepSecret(purpose, request.Secret) };
            var mutual = request.MutualUser.Length == 0 ? null : new ChapSection { User = request.MutualUser, SecretFile = book.KeepSecret(purpose + " mutual", request.MutualSecret) };
            if (request.Initiator.Length == 0) return before with { Iscsi = With(before.Iscsi, request.Target, target with { Chap = chap, MutualChap = mutual }) };
            var initiators = new Dictionary<string, InitiatorSection>(target.Initiators, StringComparer.Ordinal) { [request.Initiator] = new InitiatorSection { Chap = chap, MutualChap = mutual } };
            return before with { Iscsi = With(before.Iscsi, request.Target, target with { Initiators = initiators }) };
        }, cancellationToken);
        return Find("iscsi", request.Target);

        static void CheckSecret(string secret, string user)
        {
            if (user.Length > 0 && secret.Length is < ChapSecret.LengthMin or > ChapSecret.LengthMax)
                throw new TargetException(StatusCode.InvalidArgument, $"The secret of '{user}' must have {ChapSecret.LengthMin} to {ChapSecret.LengthMax} characters.");
        }
    }

    public void Dispose() => _oneAtATime.Dispose();

    /// <summary>Changes what was added by hand, and takes it back if it is not there in the end.</summary>
    private async Task ChangeAsync(string kind, string name, string? alsoItem, Func<TargetsSection, TargetsSection> change, CancellationToken cancellationToken)
    {
        await _oneAtATime.WaitAsync(cancellationToken);
        try
        {
            var declared = gateway.Configuration.Targets;
            if (kind switch { "iscsi" => declared.Iscsi.ContainsKey(name), "loopback" => declared.Loopback.ContainsKey(name), _ => declared.Vhost.ContainsKey(name) })
                throw new TargetException(StatusCode.FailedPrecondition, $"{name} is in the configuration file: change it there.");
            var before = book.Targets;
            var after = change(before);
            var faults = after.Faults(gateway.Configuration.Stores).Where(f => f.StartsWith(kind + "." + name, StringComparison.Ordinal)).ToArray();
            if (faults.Length > 0) throw new TargetException(StatusCode.InvalidArgument, string.Join("; ", faults));
            book.Replace(after);
            var wrong = await keeper.ReconcileAsync(cancellationToken);
            var wwn = kind == "iscsi" ? name : DesiredTargets.WwnOf(kind, name, Environment.MachineName);
            var volumes = Luns(after, kind, name).Select(l => $"backstore {DesiredTargets.BackstoreName(l.Volume)}").ToArray();
            var own = wrong.Where(f => f.Item == $"{kind} target {wwn}" || volumes.Contains(f.Item) || f.Item == alsoItem).ToArray();
            if (own.Length == 0)
            {
                book.SweepSecrets();
                return;
            }

            book.Replace(before);
            await keeper.ReconcileAsync(cancellationToken);
            book.SweepSecrets();
            throw new TargetException(StatusCode.Aborted, string.Join("; ", own.Select(f => f.Message)));
        }
        finally
        {
            _oneAtATime.Release();
        }
    }

    private static List<LunSection> Luns(TargetsSection targets, string kind, string name) => kind switch
    {
        "iscsi" => targets.Iscsi.GetValueOrDefault(name)?.Luns,
        "loopback" => targets.Loopback.GetValueOrDefault(name)?.Luns,
        _ => targets.Vhost.GetValueOrDefault(name)?.Luns,
    } ?? [];

    private static IscsiTargetSection Added(TargetsSection book, string name) =>
        book.Iscsi.GetValueOrDefault(name) ?? throw new TargetException(StatusCode.NotFound, $"There is no iSCSI target '{name}'. 'tcmu-gateway target list' shows what there is.");

    private static Dictionary<string, T> With<T>(Dictionary<string, T> targets, string name, T target) => new(targets, StringComparer.Ordinal) { [name] = target };

    private static IscsiTargetSection AddTo(IscsiTargetSection? target, VolumePath path, ExportRequest request) => target is not null
        ? target with { Luns = Add(target.Luns, path, request) }
        : new IscsiTargetSection
        {
            Portals = request.Portals.Count > 0 ? [.. request.Portals] : [.. IscsiTargetSection.AllPortals],
            Luns = Add([], path, request),
            Initiators = request.Initiators.Distinct(StringComparer.Ordinal).ToDictionary(i => i, _ => new InitiatorSection(), StringComparer.Ordinal),
        };

    private static LocalTargetSection AddTo(LocalTargetSection? target, VolumePath path, ExportRequest request) => new() { Luns = Add(target?.Luns ?? [], path, request) };

    private static List<LunSection> Add(List<LunSection> luns, VolumePath path, ExportRequest request)
    {
        var numbered = LunSection.Numbered(luns).ToList();
        if (numbered.Find(l => l.Section.Volume == path.ToString()) is { Section: not null } there) throw new TargetException(StatusCode.AlreadyExists, $"Volume {path} is LUN {there.Lun} of that target already.");
        var taken = numbered.Select(l => l.Lun).ToHashSet();
        var lun = request.Lun >= 0 ? request.Lun : Enumerable.Range(0, LunSection.LunMax + 1).First(n => !taken.Contains(n) || n == LunSection.LunMax);
        if (taken.Contains(lun)) throw new TargetException(StatusCode.AlreadyExists, $"LUN {lun} of that target is taken.");
        return [.. numbered.Select(l => l.Section with { Lun = l.Lun }), new LunSection { Lun = lun, Volume = path.ToString(), ReadOnly = request.ReadOnly }];
    }

    private string DefaultName(string kind, VolumePath path)
    {
        // RFC 7143 4.2.7.2 has lower case, digits, '.', '-' and ':'.
        var text = $"{Environment.MachineName}:{path.Store}.{path.Volume}".ToLowerInvariant();
        var name = string.Concat(text.Select(c => char.IsAsciiLetterOrDigit(c) || c is '.' or ':' ? c : '-'));
        return kind == "iscsi" ? $"{gateway.Configuration.Targets.IqnPrefix}:{name}" : $"{path.Store}-{path.Volume}".Replace('.', '-').Replace('_', '-');
    }

    private Target Find(string kind, string name)
    {
        var all = keeper.Targets;
        return kind == "iscsi" ? ToWire(name, all.Iscsi[name]) : ToWire(kind, name, kind == "loopback" ? all.Loopback[name] : all.Vhost[name]);
    }

    private Target ToWire(string name, IscsiTargetSection target)
    {
        var wire = new Target { Kind = "iscsi", Name = name, ChapUser = target.Chap?.User ?? "", MutualChapUser = target.MutualChap?.User ?? "", Declared = gateway.Configuration.Targets.Iscsi.ContainsKey(name) };
        wire.Portals.AddRange(target.Portals);
        wire.Luns.AddRange(ToWire(target.Luns));
        wire.Initiators.AddRange(target.Initiators.OrderBy(i => i.Key, StringComparer.Ordinal).Select(i => new Initiator { Name = i.Key, ChapUser = i.Value.Chap?.User ?? "", MutualChapUser = i.Value.MutualChap?.User ?? "" }));
        return wire;
    }

    private Target ToWire(string kind, string name, LocalTargetSection target)
    {
        var declared = kind == "loopback" ? gateway.Configuration.Targets.Loopback.ContainsKey(name) : gateway.Configuration.Targets.Vhost.ContainsKey(name);
        var wire = new Target { Kind = kind, Name = name, Declared = declared };
        wire.Luns.AddRange(ToWire(target.Luns));
        if (kind == "loopback") wire.Disks.AddRange(LoopbackDisks.Of(roots, DesiredTargets.WwnOf(kind, name, Environment.MachineName)));
        return wire;
    }

    private static IEnumerable<Lun> ToWire(List<LunSection> luns) => LunSection.Numbered(luns).OrderBy(l => l.Lun).Select(l => new Lun { Lun_ = l.Lun, Volume = l.Section.Volume, ReadOnly = l.Section.ReadOnly });
}
