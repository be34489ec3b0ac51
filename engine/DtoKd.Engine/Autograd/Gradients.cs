using System.Buffers;

namespace DtoKd.Engine;

/// <summary>
/// The gradients that are under way during a backward pass. A node's rule hands in the gradients of its inputs, either as a
/// tensor it has (<see cref="Give"/>) or by letting its kernel write where they belong (<see cref="Target(int)"/>).
/// </summary>
internal sealed class Gradients : IDisposable
{
    private readonly List<Node> _nodes;
    private readonly Tensor?[] _pending;
    private readonly GradStore? _store;
    private readonly bool[]? _cut;
    private readonly bool[]? _leadsToCut;
    private Node _node;

    /// <summary>Gradients of all leaves, into a store.</summary>
    public Gradients(Step step, List<Node> nodes, GradStore store)
        : this(step, nodes) => _store = store;

    /// <summary>Gradients at a cut: what is behind it, and what does not lead to it, is nobody's business.</summary>
    public Gradients(Step step, List<Node> nodes, ReadOnlySpan<int> cut)
        : this(step, nodes)
    {
        _cut = new bool[nodes.Count];
        _leadsToCut = new bool[nodes.Count];
        foreach (int node in cut)
            _cut[node] = true;
        for (int i = 0; i < nodes.Count; i++)
        {
            _leadsToCut[i] = _cut[i];
            foreach (var input in nodes[i].Inputs)
                _leadsToCut[i] |= input.Node >= 0 && _leadsToCut[input.Node];
        }
    }

    private Gradients(Step step, List<Node> nodes)
    {
        (Step, _nodes, _pending, _node) = (step, nodes, ArrayPool<Tensor?>.Shared.Rent(nodes.Count), nodes[0]);
        Array.Clear(_pending);
    }

    /// <summary>The step that backward kernels take their memory from.</summary>
    public Step Step { get; }

    /// <summary>Whether another pass over the tape follows, which reads again what the nodes have saved.</summary>
    public bool Retains { get; set; }

    /// <summary>Whether anybody wants the gradient of an input of the current node.</summary>
    public bool Wants(int input) => IsWanted(_node.Inputs[input].Node);

    /// <summary>
    /// Room for a gradient of the shape of the one that the rule was given: that one's own memory if nobody else can see it, so
    /// that no fresh memory goes through the caches; otherwise new.
    /// </summary>
    /// <remarks>
    /// Others do see it where an addition gave it to both its summands, where a store keeps it, or where the caller of the
    /// backward pass holds it. A rule that asks for this reads each element before it writes there, and nothing of
    /// <paramref name="dy"/> afterwards.
    /// </remarks>
    /// <param name="dy">The gradient that the rule was given, or a copy it made of it.</param>
    public Tensor Over(Tensor dy) => IsMine(dy) ? dy : Step.New(dy.Shape, dy.DType, _node.Name);

    /// <summary>
    /// Whether a rule may write over what its node has saved, once it has read it: nobody else ever will. A parameter's memory is also
    /// its arena's, and counted so.
    /// </summary>
    public bool MayWriteOver(Tensor saved) => !Retains && IsMine(saved);

    /// <summary>
    /// As <see cref="Target(int)"/>, in the memory of <paramref name="dy"/> under the conditions of <see cref="Over"/>, when no
    /// other reader of the input was there before. Input and result are of one shape.
    /// </summary>
    /// <param name="input">The input.</param>
    /// <param name="dy">The gradient that the rule was given, or something saved that it <see cref="MayWriteOver"/>.</param>
    public GradTarget Target(int input, Tensor dy)
    {
        int index = _node.Inputs[input].Node;
        if (_pending[index] is not null || _nodes[index] is LeafNode { Parameter: not null } || !IsMine(dy))
            return Target(input);
        return new GradTarget(_pending[index] = dy.Alias(), false);
    }

    /// <summary>
    /// The buffer for the gradient of an input. When <see cref="GradTarget.Accumulate"/> is set, another reader of that input
    /// was there before and the kernel must add; otherwise the elements are undefined and must all be written.
    /// </summary>
    public GradTarget Target(int input)
    {
        var (index, shape, dtype) = _node.Inputs[input];
        if (_nodes[index] is LeafNode { Parameter: { } parameter })
            return _store!.Target(parameter);
        if (_pending[index] is not { } pending)
            return new GradTarget(_pending[index] = Step.NewUnowned(shape, dtype, "gradient"), false);
        if (!pending.IsExclusive || !pending.IsContiguous)
        {
            var copy = Step.NewUnowned(shape, dtype, "gradient");
            Op.Copy(pending, copy, accumulate: false);
            Step.Recycle(pending);
            _pending[index] = pending = copy;
        }

        return new GradTarget(pending, true);
    }

    /// <summary>Adds <paramref name="gradient"/>, of the input's shape and any strides, to the gradient of an input.</summary>
    public void Give(int input, Tensor gradient)
    {
        var (index, shape, _) = _node.Inputs[input];
        if (!IsWanted(index))
            return;
        if (gradient.Shape != shape)
            throw new InvalidOperationException($"{_node.Name}: gradient {gradient.Shape} for an input of shape {shape}");
        if (_pending[index] is null && _nodes[index] is not LeafNode { Parameter: not null })
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
        ArrayPool<Tensor?>.Shared.Return(_pending, clearArray: true);
    }

    /// <summary>Checks what the current node, of index <paramref name="node"/>, has handed in.</summary>
    internal void Check(int node)
    {
        foreach (var input in _node.Inputs)
        {
            if (!IsWanted(input.Node))
                continue;
            var gradient = _nodes[input.Node] is LeafNode { Parameter: { } parameter } ? _store!.Of(parameter) : _pending[input.Node];
            if (gradient is not null)
                Anomaly.CheckGradient(Step, _node, node, gradient);
        }
    }

    internal void Start(int index, Tensor seed) => _pending[index] = IsWanted(index) ? seed.Alias() : null;

    /// <summary>
    /// Takes out the gradient of node <paramref name="index"/> and makes that node the current one; null where the pass ends.
    /// </summary>
    internal Tensor? Take(int index)
    {
        _node = _nodes[index];
        var gradient = _pending[index];
        if (gradient is null || _cut?[index] is true)
            return null;
        _pending[index] = null;
        if (_node is LeafNode)
        {
            _store!.Keep(index, gradient);
            return null;
        }

        return gradient;
    }

    /// <summary>Takes out, for the step to own, the gradient that has come to a node of the cut; null if none has.</summary>
    internal Tensor? TakeAtCut(int index)
    {
        var gradient = _pending[index];
        _pending[index] = null;
        if (gradient is not null)
            Step.Own(gradient);
        return gradient;
    }

    private static bool IsMine(Tensor dy) => dy.IsExclusive && dy.IsContiguous;

    private bool IsWanted(int node) => node >= 0 && _leadsToCut?[node] is not false;
}

/// <summary>A buffer for a gradient, and whether to add to what is in it.</summary>
internal readonly record struct GradTarget(Tensor Tensor, bool Accumulate);
