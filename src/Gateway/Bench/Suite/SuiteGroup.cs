namespace Gateway.Bench.Suite;

/// <summary>Figures that are measured together, in a process of their own: so that none finds another's memory, caches or threads.</summary>
internal abstract class SuiteGroup
{
    /// <summary>All groups, in the order of a run.</summary>
    public static readonly SuiteGroup[] All =
    [
        new RingGroup(), new AllocationGroup(), new ReadGroup(), new JournalGroup(), new SyncGroup(), new StoreGroup(), new AmplificationGroup(), new CleaningGroup(), new OpenGroup(), new IdleGroup(), new TelemetryGroup(), new FlakyGroup(),
    ];

    /// <summary>What it measures; its first id names it.</summary>
    public abstract SuiteTarget[] Targets { get; }

    /// <summary>Run on one core: the process is bound to it from the start.</summary>
    public virtual bool OneCore => false;

    /// <summary>After this it is given up.</summary>
    public virtual TimeSpan TimeLimit => TimeSpan.FromMinutes(5);

    /// <summary>Measures, and reports each value.</summary>
    /// <exception cref="SuiteException">Something that it needs is missing.</exception>
    public abstract Task MeasureAsync(SuiteContext context, CancellationToken cancellationToken);

    /// <summary>Does a part of the work that <see cref="MeasureAsync"/> has started in a process of its own, with <see cref="SuiteContext.RunStepAsync"/>.</summary>
    public virtual Task RunStepAsync(string step, SuiteContext context, CancellationToken cancellationToken) => throw new SuiteException($"there is no step '{step}'");

    protected static double Median(List<double> values)
    {
        values.Sort();
        return values.Count % 2 == 1 ? values[values.Count / 2] : (values[values.Count / 2 - 1] + values[values.Count / 2]) / 2;
    }
}
