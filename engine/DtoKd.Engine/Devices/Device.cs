namespace DtoKd.Engine;

/// <summary>Where tensors live and operations run. It owns the memory pool; it knows no operation.</summary>
public abstract class Device : IDisposable
{
    private protected Device(Pool pool) => Pool = pool;

    /// <summary>A short name, as <c>--device</c> takes it: <c>cpu</c>.</summary>
    public abstract string Name { get; }

    /// <summary>
    /// Whether kernels run. Where they do not, operations check their inputs, take memory and record as ever, but leave their
    /// results undefined: what a step would cost is known without its time.
    /// </summary>
    public bool Computes { get; private protected init; } = true;

    /// <summary>The pool that every storage on this device comes from.</summary>
    public Pool Pool { get; }

    /// <summary>Measures where the time of steps goes; null, at first, for not measuring.</summary>
    public OpProfile? Profile { get; set; }

    /// <summary>Releases threads and cached memory. Tensors of the device must not be used afterwards.</summary>
    public virtual void Dispose()
    {
        Pool.Trim();
        GC.SuppressFinalize(this);
    }
}
