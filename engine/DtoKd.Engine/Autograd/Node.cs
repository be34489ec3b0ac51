using System.Runtime.InteropServices;

namespace DtoKd.Engine;

/// <summary>
/// One differentiable operation on a <see cref="Tape"/>: what it saved in the forward pass and how it turns the gradient of
/// its result into gradients of its inputs. Each operation has its own sealed class.
/// </summary>
internal abstract class Node
{
    // The last one saved; each knows the one before.
    private Tensor? _saved;
    private List<Input>? _inputs;
    private int _firstInput;
    private int _inputCount;

    /// <summary>The operation's name.</summary>
    public abstract string Name { get; }

    /// <summary>What a profile calls the backward rule.</summary>
    public string BackwardName => $"{Name} backward";

    /// <summary>Where the gradients of the inputs go, in the order in which the operation was recorded with them.</summary>
    public ReadOnlySpan<Input> Inputs => CollectionsMarshal.AsSpan(_inputs).Slice(_firstInput, _inputCount);

    /// <summary>Multiplications, each with its addition, of the forward pass; counted for products and convolutions only.</summary>
    public virtual long MultiplyAdds => 0;

    /// <summary>What the backward pass reads.</summary>
    public IEnumerable<Tensor> Saved
    {
        get
        {
            for (var tensor = _saved; tensor is not null; tensor = tensor.SavedBefore)
                yield return tensor;
        }
    }

    /// <summary>Adds the gradients of the inputs, given <paramref name="dy"/>, that of the result (any strides).</summary>
    public abstract void Backward(Tensor dy, Gradients into);

    /// <summary>Lets go of everything saved.</summary>
    public void Release(Step step)
    {
        while (_saved is { } tensor)
        {
            (_saved, tensor.SavedBefore) = (tensor.SavedBefore, null);
            step.Recycle(tensor);
        }
    }

    /// <summary>Tells the node that its inputs are the last ones of a tape's list.</summary>
    internal void TakeInputs(List<Input> inputs, int count)
    {
        _inputs = inputs;
        (_firstInput, _inputCount) = (inputs.Count - count, count);
    }

    /// <summary>Keeps a tensor alive until this node has run backward for the last time. A parameter's value outlives every step.</summary>
    protected Tensor Save(Tensor tensor)
    {
        if (tensor.Parameter is not null)
            return tensor;
        var alias = tensor.Alias();
        alias.SavedBefore = _saved;
        return _saved = alias;
    }

    /// <summary>Where an input's gradient goes: the index of its node, -1 if nobody wants it.</summary>
    internal readonly record struct Input(int Node, Shape Shape, DType DType);
}

/// <summary>The start of a tape's graph: a parameter, or a tensor that is watched. It knows nothing of the tape.</summary>
internal sealed class LeafNode(Parameter? parameter) : Node
{
    /// <summary>The leaf of every tensor that is watched.</summary>
    public static readonly LeafNode Watched = new(null);

    public override string Name => parameter?.Name ?? "watched";

    public Parameter? Parameter => parameter;

    public override void Backward(Tensor dy, Gradients into)
    {
    }
}
