namespace Gateway.Volumes.Reading;

/// <summary>One request's place in a <see cref="RequestWindow"/>.</summary>
internal sealed class RequestTurn(bool isBackground)
{
    /// <summary>Nobody waits for it: commands go first.</summary>
    public bool IsBackground { get; set; } = isBackground;

    /// <summary>Set while it waits.</summary>
    public LinkedListNode<RequestTurn>? Node { get; set; }

    public TaskCompletionSource Granted { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
}

/// <summary>Bounds the requests in flight. What commands wait for goes before what nobody waits for yet. Thread safe.</summary>
/// <param name="size">Requests in flight at most.</param>
/// <remarks>Requests nobody waits for take at most three quarters of it, so that a command finds room at once.</remarks>
internal sealed class RequestWindow(int size)
{
    private readonly Lock _gate = new();
    private readonly int _backgroundMax = Math.Max(1, size * 3 / 4);
    private readonly LinkedList<RequestTurn> _foreground = new();
    private readonly LinkedList<RequestTurn> _background = new();
    private int _inFlight;
    private int _inFlightBackground;

    /// <summary>Completes when the request may start; <see cref="Leave"/> must follow then.</summary>
    /// <exception cref="OperationCanceledException">It was cancelled before its turn came.</exception>
    public async ValueTask EnterAsync(RequestTurn turn, CancellationToken cancellationToken)
    {
        lock (_gate)
        {
            if (MayStart(turn.IsBackground))
            {
                Start(turn);
                return;
            }

            turn.Node = (turn.IsBackground ? _background : _foreground).AddLast(turn);
        }

        await using var registration = cancellationToken.UnsafeRegister(
            static (state, token) =>
            {
                var (window, turn) = ((RequestWindow, RequestTurn))state!;
                if (window.TryWithdraw(turn)) turn.Granted.SetCanceled(token);
            },
            (this, turn));
        await turn.Granted.Task;
    }

    public void Leave(RequestTurn turn)
    {
        List<RequestTurn>? next = null;
        lock (_gate)
        {
            _inFlight--;
            if (turn.IsBackground) _inFlightBackground--;
            while (TryStartNext(out var started)) (next ??= []).Add(started);
        }

        if (next is null) return;
        foreach (var started in next) started.Granted.SetResult();
    }

    /// <summary>A command waits for the request now. One that is already in flight stays what it was.</summary>
    public void Promote(RequestTurn turn)
    {
        var start = false;
        lock (_gate)
        {
            if (!turn.IsBackground || turn.Node is null) return;
            _background.Remove(turn.Node);
            turn.IsBackground = false;
            if (MayStart(isBackground: false))
            {
                turn.Node = null;
                Start(turn);
                start = true;
            }
            else
            {
                turn.Node = _foreground.AddLast(turn);
            }
        }

        if (start) turn.Granted.SetResult();
    }

    private bool MayStart(bool isBackground) =>
        _inFlight < size && (!isBackground || (_foreground.Count == 0 && _inFlightBackground < _backgroundMax));

    private void Start(RequestTurn turn)
    {
        _inFlight++;
        if (turn.IsBackground) _inFlightBackground++;
    }

    private bool TryStartNext(out RequestTurn turn)
    {
        var queue = _foreground.Count > 0 ? _foreground : _background;
        turn = queue.First?.Value!;
        if (turn is null || !MayStart(turn.IsBackground)) return false;
        queue.RemoveFirst();
        turn.Node = null;
        Start(turn);
        return true;
    }

    private bool TryWithdraw(RequestTurn turn)
    {
        lock (_gate)
        {
            if (turn.Node is null) return false;
            (turn.IsBackground ? _background : _foreground).Remove(turn.Node);
            turn.Node = null;
            return true;
        }
    }
}
