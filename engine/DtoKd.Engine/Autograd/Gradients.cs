namespace DtoKd.Engine;

/// <summary>
/// The gradients that are under way during a backward pass. A node's rule hands in the gradients of its inputs, either as a
/// tensor it has (<see cref="Give"/>) or by letting its kernel write where they belong (<see cref="Target"/>).
/// </summary>
internal sealed class Gradients(Step step, List<Node> nodes, GradStore store) : IDisposable
{
    private readonly Tensor?[] _pending = new Tensor?[nodes.Count];
    private Node _node = nodes[0];

    /// <summary>The step that backward kernels take their memory from.</summary>
    public Step Step => step;

    /// <summary>Whether anybody wants the gradient of an input of the current node.</summary>
    public bool Wants(int input) => _node.Inputs[input].Node >= 0;

    /// <summary>
    /// The buffer for the gradient of an input. When <see cref="GradTarget.Accumulate"/> is set, another reader of that input
    /// was there before and the kernel must add; otherwise the elements are undefined and must all be written.
    /// </summary>
    public GradTarget Target(int input)
    {
        var (index, shape, dtype) = _node.Inputs[input];
        if (nodes[index] is LeafNode { Parameter: { } parameter })
            return store.Target(parameter);
        if (_pending[index] is not { } pending)
            return new GradTarget(_pending[index] = step.NewUnowned(shape, dtype, "gradient"), false);
        if (!pending.IsExclusive || !pending.IsContiguous)
        {
            var copy = step.NewUnowned(shape, dtype, "gradient");
            Op.Copy(pending, copy, accumulate: false);
            pending.Dispose();
            _pending[index] = pending = copy;
        }

        return new GradTarget(pending, true);
    }

    /// <summary>Adds <paramref name="gradient"/>, of the input's shape and any strides, to the gradient of an input.</summary>
    public void Give(int input, Tensor gradient)
    {
        var (index, shape, _) = _node.Inputs[input];
        if (index < 0)
            return;
        if (gradient.Shape != shape)
            throw new InvalidOperationException($"{_node.Name}: gradient {gradient.Shape} for an input of shape {shape}");
        if (_pending[index] is null && nodes[index] is not LeafNode { Parameter: not null })
        {
            _pending[index] = gradient.Alias();
            return;
        }

        var target = Target(input);
        Op.Copy(gradient, target.Tensor, target.Accumulate);
    }

    /// <summary>Lets go of what a pass that failed has left.</summary>
    public void Dispose()
    {
        foreach (var gradient in _pending)
            gradient?.Dispose();
    }

    /// <summary>Checks what the current node, of index <paramref name="node"/>, has handed in.</summary>
    internal void Check(int node)
    {
        foreach (var input in _node.Inputs)
        {
            if (input.Node < 0)
                continue;
            var gradient = nodes[input.Node] is LeafNode { Parameter: { } parameter } ? store.Of(parameter) : _pending[input.Node];
            if (gradient is not null)
                Anomaly.CheckGradient(step, _node, node, gradient);
        }
    }

    internal void Start(int index, Tensor seed) => _pending[index] = seed.Alias();

    /// <summary>Takes out the gradient of node <paramref name="index"/> and makes that node the current one.</summary>
    internal Tensor? Take(int index)
    {
        _node = nodes[index];
        var gradient = _pending[index];
        if (gradient is null)
            return null;
        _pending[index] = null;
        if (_node is LeafNode)
        {
            store.Keep(index, gradient);
            return null;
        }

        return gradient;
    }
}

/// <summary>A buffer for a gradient, and whether to add to what is in it.</summary>
internal readonly record struct GradTarget(Tensor Tensor, bool Accumulate);
