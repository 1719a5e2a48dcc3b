namespace Gateway.Lio;

/// <summary>What the planners of all kinds share: the tree as planned so far, the parts, failures. Paths are below the target's root.</summary>
internal sealed class PlanBuilder
{
    private readonly List<PlanPart> _parts = [];
    private readonly List<LioFailure> _failures = [];
    private readonly List<LioFailure> _warnings = [];
    private readonly Dictionary<string, PlanPart> _fabricParts = [];
    private readonly string _root;
    private readonly string _modules;
    private readonly IConfigfs _configfs;

    public PlanBuilder(IConfigfs configfs, LioOptions options)
    {
        _configfs = configfs;
        _root = Path.Combine(options.ConfigfsRoot, "target");
        _modules = Path.Combine(options.SysfsRoot, "module");
        Tree = new PlannedTree(configfs);
        HasTarget = configfs.Exists(_root);
        Owned = new(OwnershipMarks.Decode(configfs.ListDirectories(At(OwnershipMarks.Directory))), StringComparer.Ordinal);
    }

    public PlannedTree Tree { get; }

    /// <summary>Whether LIO's core is there at all.</summary>
    public bool HasTarget { get; }

    /// <summary>Paths of all objects with a mark, as planned so far.</summary>
    public SortedSet<string> Owned { get; }

    public LioPlan Build() => new(_parts, _failures, _warnings);

    public string At(string path) => Path.Combine(_root, path);

    public bool Exists(string path) => Tree.Exists(At(path));

    public IReadOnlyList<string> Directories(string path) => Tree.ListDirectories(At(path));

    public IReadOnlyList<string> Links(string path) => Tree.ListLinks(At(path));

    public string? Read(string path) => Tree.Read(At(path));

    /// <summary>Where a link leads, as a path below the target's root; null if there is none.</summary>
    public string? ReadLink(string path) => Tree.ReadLink(At(path)) is { } target ? Path.GetRelativePath(_root, target) : null;

    public bool HasModule(string module) => _configfs.Exists(Path.Combine(_modules, module));

    public void Fail(string item, string message) => _failures.Add(new LioFailure(item, message));

    public void Warn(string item, string message) => _warnings.Add(new LioFailure(item, message));

    public PlanPart Part(string item, string remedy, params ReadOnlySpan<PlanPart?> requires)
    {
        var part = new PlanPart(item, remedy);
        foreach (var other in requires) part.Require(other);
        _parts.Add(part);
        return part;
    }

    public void LoadModule(PlanPart part, string module)
    {
        if (!HasModule(module)) Add(part, new LioStep(LioStepKind.LoadModule, module));
    }

    public void Mark(PlanPart part, string path)
    {
        if (Owned.Add(path)) MakeDirectory(part, OwnershipMarks.PathOf(path));
    }

    public void Unmark(PlanPart part, string path)
    {
        if (Owned.Remove(path)) RemoveDirectory(part, OwnershipMarks.PathOf(path));
    }

    public void MakeDirectory(PlanPart part, string path)
    {
        if (!Exists(path)) Add(part, new LioStep(LioStepKind.MakeDirectory, At(path)));
    }

    public void RemoveDirectory(PlanPart part, string path) => Add(part, new LioStep(LioStepKind.RemoveDirectory, At(path)));

    public void Link(PlanPart part, string target, string path) => Add(part, new LioStep(LioStepKind.Link, At(path), At(target)));

    public void Unlink(PlanPart part, string path) => Add(part, new LioStep(LioStepKind.Unlink, At(path)));

    public void Write(PlanPart part, string path, string value) => Add(part, new LioStep(LioStepKind.Write, At(path), value));

    /// <summary>Writes an attribute if it has another value, or its object is new. One that this kernel does not have is left out.</summary>
    public void Set(PlanPart part, string path, string value)
    {
        var full = At(path);
        if (Tree.IsOld(full) && (!Tree.Exists(full) || Tree.Read(full) == value)) return;
        Add(part, new LioStep(LioStepKind.Write, full, value) { IfPresent = true });
    }

    public void Set(PlanPart part, string path, long value) => Set(part, path, value.ToString(System.Globalization.CultureInfo.InvariantCulture));

    public void Set(PlanPart part, string path, bool value) => Set(part, path, value ? "1" : "0");

    /// <summary>Writes a CHAP attribute if it differs; null: unset, for which LIO's word is NULL.</summary>
    public void SetChap(PlanPart part, string path, string? user) => SetChap(part, path, user is null ? null : new ChapSecret(user), user);

    /// <inheritdoc cref="SetChap(PlanPart, string, string?)"/>
    public void SetChap(PlanPart part, string path, ChapSecret? secret) => SetChap(part, path, secret, null);

    private void SetChap(PlanPart part, string path, ChapSecret? secret, string? shown)
    {
        var full = At(path);
        var actual = Tree.Read(full);
        if (secret is null)
        {
            if (string.IsNullOrEmpty(actual) || actual.StartsWith("NULL", StringComparison.Ordinal)) return;
            Add(part, new LioStep(LioStepKind.Write, full, "NULL"));
        }
        else if (actual != secret.Reveal())
        {
            // Without a newline: the kernel keeps it as part of the text.
            Add(part, new LioStep(LioStepKind.Write, full, shown) { Secret = shown is null ? secret : null });
        }
    }

    /// <summary>Part that has the fabric there; its directory is marked if it is made here.</summary>
    public PlanPart EnsureFabric(Fabric fabric)
    {
        if (_fabricParts.TryGetValue(fabric.Name, out var part)) return part;
        part = Part($"fabric {fabric}", $"Without it nothing can be exported over {fabric}.", EnsureCore());
        LoadModule(part, fabric.Module);
        if (!Exists(fabric.Name))
        {
            Mark(part, fabric.Name);
            MakeDirectory(part, fabric.Name);
        }

        return _fabricParts[fabric.Name] = part;
    }

    /// <summary>Part that has LIO's core there.</summary>
    public PlanPart EnsureCore()
    {
        const string Key = "core";
        if (_fabricParts.TryGetValue(Key, out var part)) return part;
        part = Part("LIO", "It needs CONFIG_TARGET_CORE.");
        if (!HasTarget) Add(part, new LioStep(LioStepKind.LoadModule, "target_core_mod"));
        return _fabricParts[Key] = part;
    }

    private void Add(PlanPart part, LioStep step)
    {
        part.Add(step);
        Tree.Note(step);
    }
}
