namespace Gateway.Tcmu.Simulation;

/// <summary>Numbers to be given out and taken back, all of them free at first. Allocates nothing after its construction. Not thread safe.</summary>
/// <remarks>
/// Oldest first finds whoever still uses a number that he gave back. Newest first keeps what is in use small and in the processor's caches, as
/// the kernel does, which gives out the lowest that is free.
/// </remarks>
internal sealed class FreeList
{
    private readonly int[] _numbers;
    private readonly bool _oldestFirst;
    private int _first;

    /// <param name="first">The first number.</param>
    /// <param name="count">How many there are.</param>
    /// <param name="oldestFirst">Which of the free ones is given out next.</param>
    public FreeList(int first, int count, bool oldestFirst)
    {
        _numbers = new int[count];
        _oldestFirst = oldestFirst;
        for (var i = 0; i < count; i++) _numbers[i] = oldestFirst ? first + i : first + count - 1 - i;
        Count = count;
    }

    /// <summary>How many are free.</summary>
    public int Count { get; private set; }

    /// <summary>The numbers that are free, in no order that matters.</summary>
    public IEnumerable<int> Free
    {
        get
        {
            for (var i = 0; i < Count; i++) yield return _numbers[(_first + i) % _numbers.Length];
        }
    }

    /// <summary>The number that <see cref="Take"/> gives next. There must be one.</summary>
    public int Peek() => _numbers[_oldestFirst ? _first : Count - 1];

    /// <summary>Gives out a number. There must be one.</summary>
    public int Take()
    {
        var number = Peek();
        Count--;
        if (_oldestFirst && ++_first == _numbers.Length) _first = 0;
        return number;
    }

    /// <summary>Takes a number back.</summary>
    public void Return(int number)
    {
        var at = _first + Count++;
        _numbers[at < _numbers.Length ? at : at - _numbers.Length] = number;
    }
}
