namespace Gateway.Lio;

/// <summary>The kinds of changes in LIO's configfs.</summary>
public enum LioStepKind
{
    LoadModule,
    MakeDirectory,
    Write,
    Link,
    Unlink,
    RemoveDirectory,
}

/// <summary>One change. Shows itself as the shell command of the same effect, with secrets left out.</summary>
/// <param name="Kind">What is done.</param>
/// <param name="Path">What it is done to; a module's name for <see cref="LioStepKind.LoadModule"/>.</param>
/// <param name="Value">The text that is written, or the path that a link leads to. Null also if it is secret.</param>
public sealed record LioStep(LioStepKind Kind, string Path, string? Value = null)
{
    /// <summary>Written instead of <see cref="Value"/>.</summary>
    internal ChapSecret? Secret { get; init; }

    /// <summary>Skip it if the file is not there: not every kernel has every attribute.</summary>
    internal bool IfPresent { get; init; }

    public override string ToString() => Kind switch
    {
        LioStepKind.LoadModule => $"modprobe {Path}",
        LioStepKind.MakeDirectory => $"mkdir {Path}",
        LioStepKind.Write => $"printf %s '{(Secret is null ? Value : Secret.ToString())}' > {Path}",
        LioStepKind.Link => $"ln -s {Value} {Path}",
        LioStepKind.Unlink => $"rm {Path}",
        _ => $"rmdir {Path}",
    };
}
