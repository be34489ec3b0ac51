namespace DtoKd.Engine;

/// <summary>
/// The operations of one step in the order they ran. Going through them in reverse turns the gradient of a loss into the
/// gradients of the parameters; it can be done once per objective.
/// </summary>
public sealed class Tape
{
    private readonly Step _step;

    internal Tape(Step step) => _step = step;

    /// <summary>
    /// Multiply-adds of the forward passes recorded: of products, convolutions and attention, as the literature counts "FLOPs".
    /// </summary>
    public long MultiplyAdds => Nodes.Sum(node => node.MultiplyAdds);

    /// <summary>
    /// Bytes that the tape keeps for the backward pass: each piece of memory once, parameters not counted. Zero after a backward
    /// pass without <c>retain</c>.
    /// </summary>
    public long SavedBytes
    {
        get
        {
            var parameters = _step.Lists.Leaves.Keys.Select(parameter => parameter.Value.Storage).ToHashSet();
            return Nodes.SelectMany(node => node.Saved).Select(tensor => tensor.Storage).Distinct()
                .Where(storage => !parameters.Contains(storage)).Sum(storage => storage.Bytes);
        }
    }

    /// <summary>The number of operations and leaves recorded.</summary>
    public int Length => Nodes.Count;

    private List<Node> Nodes => _step.Lists.Nodes;

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
        Backward(loss, One(loss), into, retain);
    }

    /// <summary>Computes the gradients of <c>sum(output * seed)</c>: a vector-Jacobian product.</summary>
    /// <param name="output">Any tensor made in this step.</param>
    /// <param name="seed">The gradient of the output, of its shape.</param>
    /// <param name="into">Where the gradients go; what was there is replaced.</param>
    /// <param name="retain">Whether another backward pass follows.</param>
    /// <exception cref="InvalidOperationException">The output does not depend on any leaf.</exception>
    public void Backward(Tensor output, Tensor seed, GradStore into, bool retain = false)
    {
        int start = NodeOf(output);
        into.Begin();
        using var gradients = new Gradients(_step, Nodes, into);
        Run(gradients, start, seed, retain);
        into.End();
    }

    /// <summary>
    /// Computes the gradients of a scalar loss at tensors on its way, and goes no further: the parameters behind them are not
    /// visited, those on the way get no gradient. The tape stays as it is, for other passes.
    /// </summary>
    /// <remarks>
    /// The tensors are treated as independent of each other: what one of them does through another counts for the other only.
    /// So if no path leads around them, <c>sum over t of (dt/dθ)ᵀ gradient[t]</c>, with each dt/dθ leaving out the others, is the
    /// gradient of every parameter behind them.
    /// </remarks>
    /// <param name="loss">A tensor of one element made in this step.</param>
    /// <param name="cut">Tensors made in this step, each once.</param>
    /// <returns>For each of the tensors its gradient, of any strides; null if the loss does not depend on it.</returns>
    /// <exception cref="InvalidOperationException">
    /// The loss has more than one element, or it or a tensor does not depend on any leaf.
    /// </exception>
    public IReadOnlyList<Tensor?> GradientsAt(Tensor loss, IReadOnlyList<Tensor> cut)
    {
        var seed = One(loss);
        int start = NodeOf(loss);
        int[] nodes = [.. cut.Select(NodeOf)];
        using var gradients = new Gradients(_step, Nodes, nodes);
        Run(gradients, start, seed, retain: true);
        return Array.ConvertAll(nodes, gradients.TakeAtCut);
    }

    internal int Add(Node node, ReadOnlySpan<Tensor?> inputs)
    {
        var lists = _step.Lists;
        foreach (var input in inputs)
        {
            lists.Inputs.Add(input is null
                ? new Node.Input(-1, default, default)
                : new Node.Input(IndexOf(input), input.Shape, input.DType));
        }

        node.TakeInputs(lists.Inputs, inputs.Length);
        return AddNode(node);
    }

    internal int AddLeaf() => AddNode(LeafNode.Watched);

    internal bool IsLeaf(int node) => Nodes[node] is LeafNode;

    internal int IndexOf(Tensor tensor)
    {
        if (tensor.Parameter is not { RequiresGrad: true } parameter)
            return tensor.Node;
        var leaves = _step.Lists.Leaves;
        if (!leaves.TryGetValue(parameter, out int index))
            leaves[parameter] = index = AddNode(parameter.Leaf);
        return index;
    }

    /// <summary>The parameters among the inputs of a node, or else the last one that was used before it; empty if there is none.</summary>
    internal string ParametersNear(int node)
    {
        for (int i = Math.Min(node, Nodes.Count - 1); i >= 0; i--)
        {
            var names = Nodes[i].Inputs.ToArray().Where(input => input.Node >= 0)
                .Select(input => (Nodes[input.Node] as LeafNode)?.Parameter?.Name)
                .OfType<string>()
                .ToArray();
            if (names.Length > 0)
                return (i == node ? "with " : "after ") + string.Join(", ", names);
        }

        return "";
    }

    internal void Release()
    {
        foreach (var node in Nodes)
            node.Release(_step);
    }

    /// <summary>Goes through the tape in reverse from a node.</summary>
    private void Run(Gradients gradients, int start, Tensor seed, bool retain)
    {
        using var mode = _step.RunningBackward();
        gradients.Retains = retain;
        gradients.Start(start, seed);
        var nodes = Nodes;
        for (int i = nodes.Count - 1; i >= 0; i--)
        {
            var node = nodes[i];
            if (i <= start && gradients.Take(i) is { } dy)
            {
                _step.Device.Profile?.Enter(node.BackwardName);
                _step.Running = node.Name;
                try
                {
                    using (_step.OwnScope())
                        node.Backward(dy, gradients);
                }
                finally
                {
                    _step.Recycle(dy);
                }

                if (_step.DetectsAnomalies)
                    gradients.Check(i);
            }

            if (!retain)
                node.Release(_step);
        }
    }

    private int AddNode(Node node)
    {
        Nodes.Add(node);
        return Nodes.Count - 1;
    }

    private int NodeOf(Tensor output) => output.Step == _step && output.Node >= 0
        ? output.Node
        : throw new InvalidOperationException($"the result of {output.Origin} does not depend on any parameter or watched tensor of this step");

    /// <summary>The seed of a scalar's backward pass.</summary>
    private Tensor One(Tensor loss) => loss.Count == 1
        ? _step.Full(loss.Shape, 1, loss.DType)
        : throw new InvalidOperationException($"a backward pass starts from one number, the result of {loss.Origin} has shape {loss.Shape}");
}
