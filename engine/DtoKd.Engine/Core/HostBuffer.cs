using System.Buffers;

namespace DtoKd.Engine;

/// <summary>The elements of a tensor for writing on the host; see <see cref="Tensor.OnHost"/>.</summary>
/// <typeparam name="T">The element type.</typeparam>
public readonly ref struct HostBuffer<T> : IDisposable
    where T : unmanaged
{
    private readonly Tensor _tensor;
    private readonly T[]? _rented;

    internal HostBuffer(Tensor tensor)
    {
        _tensor = tensor;
        int count = checked((int)tensor.Count);
        if (tensor.Device.IsHost)
        {
            Span = tensor.Span<T>();
            return;
        }

        _rented = ArrayPool<T>.Shared.Rent(count);
        Span = _rented.AsSpan(0, count);
    }

    /// <summary>The elements in row-major order.</summary>
    public Span<T> Span { get; }

    /// <summary>Hands the elements to the device.</summary>
    public void Dispose()
    {
        if (_rented is null)
            return;
        _tensor.CopyFrom<T>(Span);
        ArrayPool<T>.Shared.Return(_rented);
    }
}
