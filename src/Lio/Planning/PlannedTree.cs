namespace Gateway.Lio;

/// <summary>configfs as it will be when the steps planned so far are done.</summary>
/// <remarks>What a new object has inside by itself is not known: its attributes count as unset, so that all are written.</remarks>
internal sealed class PlannedTree(IConfigfs configfs)
{
    private readonly HashSet<string> _made = new(StringComparer.Ordinal);
    private readonly HashSet<string> _gone = new(StringComparer.Ordinal);
    private readonly Dictionary<string, string> _links = new(StringComparer.Ordinal);
    private readonly Dictionary<string, HashSet<string>> _madeIn = new(StringComparer.Ordinal);

    public bool Exists(string path) => _made.Contains(path) || (IsOld(path) && configfs.Exists(path));

    public IReadOnlyList<string> ListDirectories(string directory)
    {
        var made = MadeIn(directory).Where(name => !_links.ContainsKey(Path.Combine(directory, name)));
        var old = IsOld(directory) ? configfs.ListDirectories(directory).Where(name => IsOld(Path.Combine(directory, name))) : [];
        return [.. old.Union(made, StringComparer.Ordinal).Order(StringComparer.Ordinal)];
    }

    public IReadOnlyList<string> ListLinks(string directory)
    {
        var made = MadeIn(directory).Where(name => _links.ContainsKey(Path.Combine(directory, name)));
        var old = IsOld(directory) ? configfs.ListLinks(directory).Where(name => IsOld(Path.Combine(directory, name))) : [];
        return [.. old.Union(made, StringComparer.Ordinal).Order(StringComparer.Ordinal)];
    }

    public string? ReadLink(string path) => _links.TryGetValue(path, out var target) ? target : IsOld(path) ? configfs.ReadLink(path) : null;

    /// <summary>An attribute's text without the newline at its end; null if it is not there or not readable.</summary>
    public string? Read(string path)
    {
        if (!IsOld(path)) return null;
        try
        {
            if (!configfs.Exists(path)) return null;
            var text = configfs.Read(path);
            return text.EndsWith('\n') ? text[..^1] : text;
        }
        catch (IOException)
        {
            return null; // Some answer only once their object is enabled, or has a nexus.
        }
    }

    /// <summary>True if what is at the path now was there before the plan.</summary>
    public bool IsOld(string path)
    {
        for (var at = path; at is { Length: > 1 }; at = Path.GetDirectoryName(at))
        {
            if (_made.Contains(at) || _gone.Contains(at)) return false;
        }

        return true;
    }

    public void Note(LioStep step)
    {
        switch (step.Kind)
        {
            case LioStepKind.MakeDirectory:
                AddMade(step.Path);
                break;
            case LioStepKind.Link:
                AddMade(step.Path);
                _links[step.Path] = step.Value!;
                break;
            case LioStepKind.Unlink or LioStepKind.RemoveDirectory:
                if (_made.Remove(step.Path)) _madeIn[Path.GetDirectoryName(step.Path)!].Remove(Path.GetFileName(step.Path));
                _links.Remove(step.Path);
                _gone.Add(step.Path);
                break;
            default:
                break;
        }
    }

    private HashSet<string> MadeIn(string directory) => _madeIn.GetValueOrDefault(directory) ?? [];

    private void AddMade(string path)
    {
        _made.Add(path);
        var directory = Path.GetDirectoryName(path)!;
        if (!_madeIn.TryGetValue(directory, out var names)) _madeIn[directory] = names = new(StringComparer.Ordinal);
        names.Add(Path.GetFileName(path));
    }
}
