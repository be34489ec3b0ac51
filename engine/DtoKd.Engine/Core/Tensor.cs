using System.Runtime.InteropServices;

namespace DtoKd.Engine;

/// <summary>
/// An array of up to six axes on a device: a shape, strides and an offset over shared storage. It holds no gradient
/// (see <see cref="GradStore"/>) and it is neither generic over its element type nor over its device.
/// </summary>
/// <remarks>
/// A tensor made by an operation belongs to the <see cref="Engine.Step"/> of its inputs and lives until that step, or a
/// <see cref="Scope"/> of it, ends. Views share storage; the storage goes back to the pool with its last tensor.
/// </remarks>
public sealed unsafe partial class Tensor : IDisposable
{
    private readonly Storage _storage;
    private readonly long _offset;
    private bool _released;

    internal Tensor(Device device, Storage storage, DType dtype, Shape shape, in Strides strides, long offset, string origin)
    {
        Device = device;
        DType = dtype;
        Shape = shape;
        Strides = strides;
        Origin = origin;
        _storage = storage;
        _offset = offset;
    }

    /// <summary>The sizes of the axes.</summary>
    public Shape Shape { get; }

    /// <summary>The element type.</summary>
    public DType DType { get; }

    /// <summary>Where the elements are.</summary>
    public Device Device { get; }

    /// <summary>The step that owns this tensor; null for parameters and for tensors kept beyond their step.</summary>
    public Step? Step { get; internal set; }

    /// <summary>The operation that made this tensor, or the parameter's name.</summary>
    public string Origin { get; }

    /// <summary>The number of elements.</summary>
    public long Count => Shape.Count;

    /// <summary>Whether the elements lie row by row without gaps.</summary>
    public bool IsContiguous => Strides.AreContiguous(Shape);

    internal Strides Strides { get; }

    /// <summary>The index of the node that made this tensor on its step's tape; -1 when no gradient flows through it.</summary>
    internal int Node { get; set; } = -1;

    /// <summary>The parameter whose value this is.</summary>
    internal Parameter? Parameter { get; init; }

    /// <summary>Whether nobody else can see the elements, so that they may be overwritten.</summary>
    internal bool IsExclusive => _storage.IsExclusive && !Strides.Overlap(Shape);

    /// <summary>What the elements lie in; tensors that share it are views of each other.</summary>
    internal Storage Storage => _storage;

    internal bool IsReleased => _released;

    /// <summary>Set by <see cref="Scope.Return"/>: the tensor moves to the surrounding scope.</summary>
    internal bool Survives { get; set; }

    /// <summary>The elements in row-major order, copied to the host.</summary>
    /// <typeparam name="T">The element type: float, double, int, long or bool, the one of <see cref="DType"/>.</typeparam>
    public T[] ToArray<T>()
        where T : unmanaged
    {
        var result = new T[Count];
        var source = Pointer<T>();
        if (IsContiguous)
        {
            new ReadOnlySpan<T>(source, result.Length).CopyTo(result);
            return result;
        }

        var index = new StridedIndex(Shape, Strides);
        for (int i = 0; i < result.Length; i++, index.Next())
            result[i] = source[index.Offset];
        return result;
    }

    /// <summary>The elements of a float tensor in row-major order, as doubles.</summary>
    public double[] ToDoubles() =>
        DType == DType.F64 ? ToArray<double>() : Array.ConvertAll(ToArray<float>(), value => (double)value);

    /// <summary>The only element, as a double, copied to the host.</summary>
    /// <exception cref="InvalidOperationException">There is not exactly one element.</exception>
    public double Item()
    {
        if (Count != 1)
            throw new InvalidOperationException($"Item() needs one element, the result of {Origin} has shape {Shape}");
        return DType switch
        {
            DType.F32 => *Pointer<float>(),
            DType.F64 => *Pointer<double>(),
            DType.I32 => *Pointer<int>(),
            DType.I64 => *Pointer<long>(),
            _ => *Pointer<bool>() ? 1 : 0,
        };
    }

    /// <summary>The elements in place. Writing through it is for tensors that no tape has seen.</summary>
    /// <exception cref="InvalidOperationException">Another element type, or not contiguous.</exception>
    public Span<T> Span<T>()
        where T : unmanaged
    {
        if (!IsContiguous)
            throw new InvalidOperationException($"the {Shape} view made by {Origin} is not contiguous");
        return new Span<T>(Pointer<T>(), checked((int)Count));
    }

    /// <summary>The same elements as a tensor through which no gradient flows.</summary>
    /// <exception cref="InvalidOperationException">This tensor belongs to no step.</exception>
    public Tensor Detach()
    {
        var step = Engine.Step.Of("detach", this);
        var view = View(Shape, Strides, 0, "detach");
        step.Own(view);
        return view;
    }

    /// <summary>Takes this tensor out of its step: it now lives until it is disposed.</summary>
    public Tensor Keep()
    {
        ThrowIfReleased();
        Step = null;
        Node = -1;
        return this;
    }

    /// <summary>Lets go of the elements before the step ends.</summary>
    public void Dispose()
    {
        if (Parameter is null)
            Release();
    }

    /// <summary>As in messages: <c>F32 [2, 3] from matmul</c>.</summary>
    public override string ToString() => $"{DType} {Shape} from {Origin}";

    /// <summary>The address of the first element.</summary>
    /// <exception cref="InvalidOperationException">Another element type.</exception>
    /// <exception cref="ObjectDisposedException">The step or scope of this tensor has ended.</exception>
    internal T* Pointer<T>()
        where T : unmanaged
    {
        if (DTypes.Of<T>() != DType)
            throw new InvalidOperationException($"the result of {Origin} has elements of type {DType}, not {DTypes.Of<T>()}");
        ThrowIfReleased();
        return (T*)_storage.Address + _offset;
    }

    /// <summary>The address of the first element, whatever its type.</summary>
    internal byte* Bytes()
    {
        ThrowIfReleased();
        return (byte*)_storage.Address + (_offset * DType.Size());
    }

    /// <summary>A tensor over the same storage, owned by the caller.</summary>
    internal Tensor View(Shape shape, in Strides strides, long offset, string origin)
    {
        ThrowIfReleased();
        _storage.Retain();
        return new Tensor(Device, _storage, DType, shape, strides, _offset + offset, origin);
    }

    /// <summary>The value of a parameter: a view of the arena's flat buffer, released with the arena only.</summary>
    internal Tensor ParameterView(Parameter parameter)
    {
        _storage.Retain();
        return new Tensor(
            Device, _storage, DType, parameter.Shape, Strides.Contiguous(parameter.Shape), parameter.Offset, parameter.Name)
        {
            Parameter = parameter,
        };
    }

    /// <summary>Lets go of the storage. A parameter's value ends with its arena only: <see cref="Dispose"/> leaves it alone.</summary>
    internal void Release()
    {
        if (_released)
            return;
        _released = true;
        _storage.Release();
    }

    /// <summary>Sets every element of a contiguous tensor to zero.</summary>
    internal void Clear()
    {
        if (Device.Computes)
            NativeMemory.Clear(Bytes(), (nuint)(Count * DType.Size()));
    }

    /// <summary>The same tensor under a second owner: storage lives until both have let go.</summary>
    internal Tensor Alias()
    {
        var alias = View(Shape, Strides, 0, Origin);
        alias.Step = Step;
        return alias;
    }

    private void ThrowIfReleased()
    {
        if (_released)
            throw new ObjectDisposedException(null, $"the {Shape} tensor made by {Origin} was used after its step or scope ended");
    }
}
