namespace DtoKd.Engine;

/// <summary>
/// A region inside a <see cref="Step"/>: a network's block opens one so that its intermediate results go back to the pool
/// before the next block runs. <c>using var scope = step.Scope(); ... return scope.Return(y);</c>
/// </summary>
public readonly ref struct Scope : IDisposable
{
    private readonly Step _step;
    private readonly int _start;
    private readonly bool _recycles;

    internal Scope(Step step, int start, bool recycles = false)
    {
        _step = step;
        _start = start;
        _recycles = recycles;
    }

    /// <summary>Lets a tensor outlive this scope: it belongs to the surrounding one.</summary>
    public Tensor Return(Tensor tensor)
    {
        tensor.Survives = true;
        return tensor;
    }

    /// <summary>Ends the region.</summary>
    public void Dispose() => _step.ReleaseFrom(_start, _recycles);
}
