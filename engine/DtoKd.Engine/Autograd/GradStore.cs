namespace DtoKd.Engine;

/// <summary>
/// The gradients of one objective: a flat buffer laid out like the <see cref="ParameterArena"/>, and the gradients of tensors
/// watched in the step.
/// </summary>
public sealed class GradStore : IDisposable
{
    private readonly ParameterArena? _arena;
    private readonly Tensor? _flat;
    private readonly Tensor[] _views = [];
    private readonly bool[] _touched = [];
    private readonly Dictionary<int, Tensor> _watched = [];

    /// <summary>Makes a store for the gradients of an arena's parameters.</summary>
    public GradStore(ParameterArena arena)
    {
        _arena = arena;
        _flat = arena.NewFlat("gradients");
        _views = [.. arena.Parameters.Select(parameter => arena.ViewOf(parameter, _flat))];
        _touched = new bool[_views.Length];
    }

    /// <summary>Makes a store for the gradients of watched tensors only.</summary>
    public GradStore()
    {
    }

    /// <summary>All gradients, laid out like <see cref="ParameterArena.Flat"/>, with zeros in the gaps.</summary>
    /// <exception cref="InvalidOperationException">The store has no arena.</exception>
    public Tensor Flat => _flat ?? throw new InvalidOperationException("this store holds gradients of watched tensors only");

    /// <summary>The gradient of a parameter; zeros if the loss does not depend on it.</summary>
    public Tensor Of(Parameter parameter) => _views[Check(parameter).Index];

    /// <summary>Whether the last backward pass reached a parameter.</summary>
    public bool Reached(Parameter parameter) => _touched[Check(parameter).Index];

    /// <summary>The gradient of a tensor made by <see cref="Step.Watch"/>; null if the loss does not depend on it.</summary>
    public Tensor? Of(Tensor watched) => _watched.GetValueOrDefault(watched.Node);

    /// <summary>Returns the buffer to the pool.</summary>
    public void Dispose()
    {
        foreach (var view in _views)
            view.Dispose();
        _flat?.Dispose();
    }

    internal void Begin()
    {
        Array.Clear(_touched);
        _watched.Clear();
    }

    internal GradTarget Target(Parameter parameter)
    {
        int index = Check(parameter).Index;
        bool accumulate = _touched[index];
        _touched[index] = true;
        return new GradTarget(_views[index], accumulate);
    }

    internal void Keep(int node, Tensor gradient)
    {
        gradient.Step!.Own(gradient);
        gradient.Survives = true;
        _watched[node] = gradient;
    }

    internal void End()
    {
        for (int i = 0; i < _views.Length; i++)
        {
            if (!_touched[i])
                _views[i].Clear();
        }
    }

    private Parameter Check(Parameter parameter) =>
        parameter.Arena == _arena
            ? parameter
            : throw new InvalidOperationException($"parameter {parameter.Name} is of another arena than this store's: freeze it or give its own store");
}
