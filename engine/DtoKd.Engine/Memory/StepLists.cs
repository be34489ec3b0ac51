namespace DtoKd.Engine;

/// <summary>
/// What a step and its tape keep count in. A device hands the lists of one step to the next, as its pool does with memory, so that
/// in the steady state they need not grow.
/// </summary>
internal sealed class StepLists
{
    /// <summary>The tensors that the step owns, in the order they were made.</summary>
    public List<Tensor> Owned { get; } = [];

    /// <summary>The operations and leaves on the tape.</summary>
    public List<Node> Nodes { get; } = [];

    /// <summary>The inputs of all nodes, one node's after another's.</summary>
    public List<Node.Input> Inputs { get; } = [];

    /// <summary>The leaf of each parameter that was used.</summary>
    public Dictionary<Parameter, int> Leaves { get; } = [];

    /// <summary>
    /// Handles of tensors that are released and that nobody holds any more, for tensors to come. Those of an operation's result
    /// never get here: who uses one after its step is to be told so.
    /// </summary>
    public Stack<Tensor> Spare { get; } = [];

    /// <summary>Lets go of everything but the room and the spare handles.</summary>
    public void Clear()
    {
        Owned.Clear();
        Nodes.Clear();
        Inputs.Clear();
        Leaves.Clear();
    }
}
