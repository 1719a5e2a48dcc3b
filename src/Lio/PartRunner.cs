namespace Gateway.Lio;

/// <summary>Does the steps of one part on a thread of its own, since each may block as long as the kernel likes, beyond any signal.</summary>
internal sealed class PartRunner(IConfigfs configfs, IModuleLoader modules, LioOptions options, PlanPart part)
{
    private readonly List<LioStep> _done = [];
    private readonly TaskCompletionSource _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private volatile bool _abandoned;

    /// <summary>The part.</summary>
    public PlanPart Part => part;

    /// <summary>The step being done, or the one that failed.</summary>
    public LioStep? Current { get; private set; }

    /// <summary>Ends with the part: well, or with the exception of the step that failed.</summary>
    public Task Ended => _ended.Task;

    /// <summary>The steps done. To be read when <see cref="Ended"/> has, or after <see cref="Abandon"/>.</summary>
    public IReadOnlyList<LioStep> Done
    {
        get
        {
            lock (_done) return [.. _done];
        }
    }

    public void Start() => new Thread(Run) { IsBackground = true, Name = "lio" }.Start();

    /// <summary>Lets the step in progress be the last one.</summary>
    public void Abandon() => _abandoned = true;

    private void Run()
    {
        try
        {
            foreach (var step in part.Steps)
            {
                if (_abandoned) break;
                Current = step;
                Do(step);
                lock (_done) _done.Add(step);
            }

            _ended.SetResult();
        }
        catch (Exception e)
        {
            _ended.SetException(e);
        }
    }

    private void Do(LioStep step)
    {
        switch (step.Kind)
        {
            case LioStepKind.LoadModule:
                modules.Load(step.Path);
                if (step.Path == "target_core_mod" && !configfs.Exists(Path.Combine(options.ConfigfsRoot, "target")))
                    throw new IOException($"the module is loaded, but configfs is not mounted at {options.ConfigfsRoot}: mount -t configfs none {options.ConfigfsRoot}.");
                break;
            case LioStepKind.MakeDirectory:
                configfs.MakeDirectory(step.Path);
                break;
            case LioStepKind.Write:
                if (!step.IfPresent || configfs.Exists(step.Path)) configfs.Write(step.Path, step.Secret?.Reveal() ?? step.Value!);
                break;
            case LioStepKind.Link:
                configfs.Link(step.Value!, step.Path);
                break;
            case LioStepKind.Unlink:
                configfs.Unlink(step.Path);
                break;
            default:
                configfs.RemoveDirectory(step.Path);
                break;
        }
    }
}
