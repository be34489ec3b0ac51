namespace DtoKd.Engine;

/// <summary>
/// The operations of one step in the order they ran. Going through them in reverse turns the gradient of a loss into the
/// gradients of the parameters; it can be done once per objective.
/// </summary>
public sealed class Tape
{
    private readonly Step _step;
    private readonly List<Node> _nodes = [];
    private readonly Dictionary<Parameter, int> _leaves = [];

    internal Tape(Step step) => _step = step;

    /// <summary>
    /// Multiply-adds of the forward passes recorded: of products, convolutions and attention, as the literature counts "FLOPs".
    /// </summary>
    public long MultiplyAdds => _nodes.Sum(node => node.MultiplyAdds);

    /// <summary>
    /// Bytes that the tape keeps for the backward pass: each piece of memory once, parameters not counted. Zero after a backward
    /// pass without <c>retain</c>.
    /// </summary>
    public long SavedBytes
    {
        get
        {
            var parameters = _leaves.Keys.Select(parameter => parameter.Value.Storage).ToHashSet();
            return _nodes.SelectMany(node => node.Saved).Select(tensor => tensor.Storage).Distinct()
                .Where(storage => !parameters.Contains(storage)).Sum(storage => storage.Bytes);
        }
    }

    /// <summary>The number of operations and leaves recorded.</summary>
    public int Length => _nodes.Count;

    /// <summary>Computes the gradients of a scalar loss.</summary>
    /// <param name="loss">A tensor of one element made in this step.</param>
    /// <param name="into">Where the gradients go; what was there is replaced.</param>
    /// <param name="retain">
    /// Whether another backward pass over this tape follows. If not, each saved activation goes back to the pool as soon as
    /// its last reader has run.
    /// </param>
    /// <exception cref="InvalidOperationException">The loss has more than one element, or does not depend on any leaf.</exception>
    public void Backward(Tensor loss, GradStore into, bool retain = false)
    {
        if (loss.Count != 1)
            throw new InvalidOperationException($"a backward pass starts from one number, the result of {loss.Origin} has shape {loss.Shape}");
        Backward(loss, _step.Full(loss.Shape, 1, loss.DType), into, retain);
    }

    /// <summary>Computes the gradients of <c>sum(output * seed)</c>: a vector-Jacobian product.</summary>
    /// <param name="output">Any tensor made in this step.</param>
    /// <param name="seed">The gradient of the output, of its shape.</param>
    /// <param name="into">Where the gradients go; what was there is replaced.</param>
    /// <param name="retain">Whether another backward pass follows.</param>
    /// <exception cref="InvalidOperationException">The output does not depend on any leaf.</exception>
    public void Backward(Tensor output, Tensor seed, GradStore into, bool retain = false)
    {
        if (output.Step != _step || output.Node < 0)
            throw new InvalidOperationException($"the result of {output.Origin} does not depend on any parameter or watched tensor of this step");
        into.Begin();
        using var gradients = new Gradients(_step, _nodes, into);
        using (_step.RunningBackward())
        {
            gradients.Start(output.Node, seed);
            for (int i = _nodes.Count - 1; i >= 0; i--)
            {
                var node = _nodes[i];
                if (i <= output.Node && gradients.Take(i) is { } dy)
                {
                    _step.Device.Profile?.Enter(node.BackwardName);
                    _step.Running = node.Name;
                    using (dy)
                    using (_step.Scope())
                        node.Backward(dy, gradients);
                    if (_step.DetectsAnomalies)
                        gradients.Check(i);
                }

                if (!retain)
                    node.Release();
            }
        }

        into.End();
    }

    internal int Add(Node node, ReadOnlySpan<Tensor?> inputs)
    {
        node.Inputs = new Node.Input[inputs.Length];
        for (int i = 0; i < inputs.Length; i++)
        {
            node.Inputs[i] = inputs[i] is { } input
                ? new Node.Input(IndexOf(input), input.Shape, input.DType)
                : new Node.Input(-1, default, default);
        }

        _nodes.Add(node);
        return _nodes.Count - 1;
    }

    internal int AddLeaf(Parameter? parameter = null)
    {
        _nodes.Add(new LeafNode(parameter));
        return _nodes.Count - 1;
    }

    internal bool IsLeaf(int node) => _nodes[node] is LeafNode;

    internal int IndexOf(Tensor tensor)
    {
        if (tensor.Parameter is not { RequiresGrad: true } parameter)
            return tensor.Node;
        if (!_leaves.TryGetValue(parameter, out int index))
            _leaves[parameter] = index = AddLeaf(parameter);
        return index;
    }

    /// <summary>The parameters among the inputs of a node, or else the last one that was used before it; empty if there is none.</summary>
    internal string ParametersNear(int node)
    {
        for (int i = Math.Min(node, _nodes.Count - 1); i >= 0; i--)
        {
            var names = _nodes[i].Inputs.Where(input => input.Node >= 0)
                .Select(input => (_nodes[input.Node] as LeafNode)?.Parameter?.Name)
                .OfType<string>()
                .ToArray();
            if (names.Length > 0)
                return (i == node ? "with " : "after ") + string.Join(", ", names);
        }

        return "";
    }

    internal void Release()
    {
        foreach (var node in _nodes)
            node.Release();
    }
}
