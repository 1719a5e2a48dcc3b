namespace Gateway.Lio.Tests;

/// <summary>What a directory of the simulated configfs is, which decides what may be made in it.</summary>
public enum KernelRole
{
    Plain,
    Root,
    Core,
    UnitGroups,
    UnitGroup,
    Hba,
    Device,
    Fabric,
    Target,
    Group,
    Luns,
    Lun,
    Acls,
    Acl,
    MappedLun,
    Portals,
    Portal,
}

/// <summary>An attribute file: what reading gives, what writing does. Null: not allowed.</summary>
public sealed record KernelAttribute(Func<string>? Read, Action<string>? Write);

/// <summary>A directory of the simulated configfs.</summary>
public sealed class KernelObject(KernelObject? parent, string name, KernelRole role, bool made)
{
    public KernelObject? Parent { get; } = parent;

    public string Name { get; } = name;

    public KernelRole Role { get; } = role;

    /// <summary>Made by somebody, not with its parent by the kernel.</summary>
    public bool Made { get; } = made;

    public SortedDictionary<string, KernelObject> Children { get; } = new(StringComparer.Ordinal);

    public SortedDictionary<string, KernelAttribute> Files { get; } = new(StringComparer.Ordinal);

    public SortedDictionary<string, KernelObject> Links { get; } = new(StringComparer.Ordinal);

    /// <summary>Plain values, of this object and its default groups.</summary>
    public Dictionary<string, string> Values { get; } = new(StringComparer.Ordinal);

    /// <summary>A TCMU device or TPG that is enabled; a mapped LUN that has effect; a LUN that its initiator has seen.</summary>
    public bool Live { get; set; }

    public string Path => Parent is null ? Name : $"{Parent.Path}/{Name}";

    public KernelObject Group(string childName, KernelRole childRole = KernelRole.Plain)
    {
        var child = new KernelObject(this, childName, childRole, made: false);
        Children.Add(childName, child);
        return child;
    }

    /// <summary>Adds an attribute that keeps what is written, without its newline.</summary>
    public void Value(string file, string initial, Func<string, string?>? check = null)
    {
        Values[file] = initial;
        Files[file] = new KernelAttribute(
            () => Values[file] + "\n",
            text =>
            {
                text = text.TrimEnd('\n');
                if (check?.Invoke(text) is { } kept) Values[file] = kept;
                else if (check is null) Values[file] = text;
            });
    }

    public void ReadOnly(string file, Func<string> read) => Files[file] = new KernelAttribute(read, null);

    public IEnumerable<KernelObject> Tree() => Children.Values.SelectMany(c => c.Tree()).Prepend(this);
}
