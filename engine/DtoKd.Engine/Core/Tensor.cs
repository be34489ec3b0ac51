using System.Diagnostics.CodeAnalysis;
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
    private Storage _storage;
    private long _offset;
    private bool _released;

    internal Tensor(Device device, Storage storage, DType dtype, Shape shape, in Strides strides, long offset, string origin) =>
        Become(device, storage, dtype, shape, strides, offset, origin);

    /// <summary>The sizes of the axes.</summary>
    public Shape Shape { get; private set; }

    /// <summary>The element type.</summary>
    public DType DType { get; private set; }

    /// <summary>Where the elements are.</summary>
    public Device Device { get; private set; }

    /// <summary>The step that owns this tensor; null for parameters and for tensors kept beyond their step.</summary>
    public Step? Step { get; internal set; }

    /// <summary>The operation that made this tensor, or the parameter's name.</summary>
    public string Origin { get; private set; }

    /// <summary>The number of elements.</summary>
    public long Count => Shape.Count;

    /// <summary>Whether the elements lie row by row without gaps.</summary>
    public bool IsContiguous => Strides.AreContiguous(Shape);

    internal Strides Strides { get; private set; }

    /// <summary>The index of the node that made this tensor on its step's tape; -1 when no gradient flows through it.</summary>
    internal int Node { get; set; }

    /// <summary>The parameter whose value this is.</summary>
    internal Parameter? Parameter { get; init; }

    /// <summary>Whether nobody else can see the elements, so that they may be overwritten.</summary>
    internal bool IsExclusive => _storage.IsExclusive && !Strides.Overlap(Shape);

    /// <summary>What the elements lie in; tensors that share it are views of each other.</summary>
    internal Storage Storage => _storage;

    /// <summary>The first element's place in the storage, in elements.</summary>
    internal long Offset => _offset;

    /// <summary>The number of elements from the lowest to the highest in memory, gaps included, of a tensor that is not empty.</summary>
    internal long Extent
    {
        get
        {
            long extent = 1;
            for (int axis = 0; axis < Shape.Rank; axis++)
                extent += (Shape[axis] - 1) * Math.Abs(Strides[axis]);
            return extent;
        }
    }

    /// <summary>How many elements before the first one the lowest in memory lies: 0 unless a stride is negative.</summary>
    internal long Before
    {
        get
        {
            long before = 0;
            for (int axis = 0; axis < Shape.Rank; axis++)
                before += (Shape[axis] - 1) * Math.Max(0, -Strides[axis]);
            return before;
        }
    }

    internal bool IsReleased => _released;

    /// <summary>Of what a node keeps for the backward pass: the tensor it saved before this one. A list without memory of its own.</summary>
    internal Tensor? SavedBefore { get; set; }

    /// <summary>Set by <see cref="Scope.Return"/>: the tensor moves to the surrounding scope.</summary>
    internal bool Survives { get; set; }

    /// <summary>The elements in row-major order, copied to the host.</summary>
    /// <typeparam name="T">The element type: float, double, int, long or bool, the one of <see cref="DType"/>.</typeparam>
    public T[] ToArray<T>()
        where T : unmanaged
    {
        var result = new T[Count];
        CopyTo(result.AsSpan());
        return result;
    }

    /// <summary>Copies the elements in row-major order to the host.</summary>
    /// <typeparam name="T">The element type: float, double, int, long or bool, the one of <see cref="DType"/>.</typeparam>
    /// <param name="target">Room for <see cref="Count"/> elements.</param>
    /// <exception cref="ArgumentException">The span has another length.</exception>
    public void CopyTo<T>(Span<T> target)
        where T : unmanaged
    {
        RequireType<T>();
        RequireLength(target.Length);
        if (Count == 0)
            return;
        if (IsContiguous)
        {
            Device.Read(_storage, ByteOffset, MemoryMarshal.AsBytes(target));
            return;
        }

        long before = Before;
        if (Device.IsHost)
        {
            Gather(new ReadOnlySpan<T>(Pointer<T>() - before, checked((int)Extent)), before, target);
            return;
        }

        var stretch = new T[Extent];
        Device.Read(_storage, ByteOffset - (before * DType.Size()), MemoryMarshal.AsBytes(stretch.AsSpan()));
        Gather(stretch, before, target);
    }

    /// <summary>Overwrites the elements with ones of the host in row-major order. For tensors that no tape has seen.</summary>
    /// <typeparam name="T">The element type, the one of <see cref="DType"/>.</typeparam>
    /// <param name="values"><see cref="Count"/> elements.</param>
    /// <exception cref="ArgumentException">The span has another length.</exception>
    /// <exception cref="InvalidOperationException">Another element type, or not contiguous.</exception>
    public void CopyFrom<T>(ReadOnlySpan<T> values)
        where T : unmanaged
    {
        RequireType<T>();
        RequireContiguous();
        RequireLength(values.Length);
        if (Count > 0)
            Device.Write(MemoryMarshal.AsBytes(values), _storage, ByteOffset);
    }

    /// <summary>
    /// The elements for writing on the host: in place where they are there, otherwise in a buffer of undefined contents that is
    /// copied to the device when disposed. All of them must be written.
    /// </summary>
    /// <typeparam name="T">The element type, the one of <see cref="DType"/>.</typeparam>
    /// <exception cref="InvalidOperationException">Another element type, or not contiguous.</exception>
    public HostBuffer<T> OnHost<T>()
        where T : unmanaged
    {
        RequireType<T>();
        RequireContiguous();
        return new HostBuffer<T>(this);
    }

    /// <summary>The elements for reading on the host: in place where they are there, otherwise a copy.</summary>
    /// <typeparam name="T">The element type, the one of <see cref="DType"/>.</typeparam>
    /// <exception cref="InvalidOperationException">Another element type, or not contiguous.</exception>
    public ReadOnlySpan<T> ReadOnHost<T>()
        where T : unmanaged => Device.IsHost ? Span<T>() : ToArray<T>();

    /// <summary>The elements of a float tensor in row-major order, as doubles.</summary>
    public double[] ToDoubles() =>
        DType == DType.F64 ? ToArray<double>() : Array.ConvertAll(ToArray<float>(), value => (double)value);

    /// <summary>The only element, as a double, copied to the host.</summary>
    /// <exception cref="InvalidOperationException">There is not exactly one element.</exception>
    public double Item()
    {
        if (Count != 1)
            throw new InvalidOperationException($"Item() needs one element, the result of {Origin} has shape {Shape}");
        ThrowIfReleased();
        long bits = 0;
        Device.Read(_storage, ByteOffset, new Span<byte>(&bits, DType.Size()));
        return DType switch
        {
            DType.F32 => *(float*)&bits,
            DType.F64 => *(double*)&bits,
            DType.I32 => *(int*)&bits,
            DType.I64 => bits,
            _ => bits != 0 ? 1 : 0,
        };
    }

    /// <summary>The elements in place. Writing through it is for tensors that no tape has seen.</summary>
    /// <exception cref="InvalidOperationException">Another element type, or not contiguous.</exception>
    /// <exception cref="NotSupportedException">
    /// The elements are not in the host's memory: use <see cref="ToArray"/>, <see cref="CopyTo"/>, <see cref="CopyFrom"/> or
    /// <see cref="OnHost"/>.
    /// </exception>
    public Span<T> Span<T>()
        where T : unmanaged
    {
        RequireContiguous();
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
    /// <exception cref="NotSupportedException">The elements are not in the host's memory.</exception>
    internal T* Pointer<T>()
        where T : unmanaged
    {
        RequireType<T>();
        ThrowIfReleased();
        if (!Device.IsHost)
            throw NotOnHost();
        return (T*)_storage.Address + _offset;
    }

    /// <summary>The address of the first element, whatever its type.</summary>
    internal byte* Bytes()
    {
        ThrowIfReleased();
        if (!Device.IsHost)
            throw NotOnHost();
        return (byte*)_storage.Address + ByteOffset;
    }

    /// <summary>A tensor over the same storage, owned by the caller.</summary>
    internal Tensor View(Shape shape, in Strides strides, long offset, string origin)
    {
        ThrowIfReleased();
        _storage.Retain();
        return Engine.Step.Handle(Step, Device, _storage, DType, shape, strides, _offset + offset, origin);
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

    /// <summary>Makes this the handle of other elements: a new one, or a released one that nobody holds any more.</summary>
    [MemberNotNull(nameof(_storage), nameof(Device), nameof(Origin))]
    internal void Become(Device device, Storage storage, DType dtype, Shape shape, in Strides strides, long offset, string origin)
    {
        Device = device;
        DType = dtype;
        Shape = shape;
        Strides = strides;
        Origin = origin;
        Step = null;
        Node = -1;
        Survives = false;
        _storage = storage;
        _offset = offset;
        _released = false;
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
        ThrowIfReleased();
        if (Device.Computes && Count > 0)
            Device.Clear(_storage, ByteOffset, Count * DType.Size());
    }

    /// <summary>Sets every element of a contiguous tensor.</summary>
    internal void Fill(double value)
    {
        ThrowIfReleased();
        if (value == 0 && !double.IsNegative(value))
            Clear();
        else if (Device.Computes && Count > 0)
            Device.Fill(this, value);
    }

    /// <summary>The same tensor under a second owner: storage lives until both have let go.</summary>
    internal Tensor Alias()
    {
        var alias = View(Shape, Strides, 0, Origin);
        alias.Step = Step;
        return alias;
    }

    private long ByteOffset => _offset * DType.Size();

    internal NotSupportedException NotOnHost() => new(
        $"{Step?.Running ?? Origin} reads the {Shape} tensor of {Origin} in the host's memory, but it is on {Device.Name}: "
        + "the operation has no kernel there; a program copies with ToArray, CopyTo, CopyFrom or OnHost");

    private void RequireType<T>()
        where T : unmanaged
    {
        if (DTypes.Of<T>() != DType)
            throw new InvalidOperationException($"the result of {Origin} has elements of type {DType}, not {DTypes.Of<T>()}");
    }

    private void RequireContiguous()
    {
        if (!IsContiguous)
            throw new InvalidOperationException($"the {Shape} view made by {Origin} is not contiguous");
    }

    private void RequireLength(int length)
    {
        ThrowIfReleased();
        if (length != Count)
            throw new ArgumentException($"{length} elements for a tensor of shape {Shape}");
    }

    private void Gather<T>(ReadOnlySpan<T> stretch, long first, Span<T> target)
        where T : unmanaged
    {
        var index = new StridedIndex(Shape, Strides);
        for (int i = 0; i < target.Length; i++, index.Next())
            target[i] = stretch[checked((int)(first + index.Offset))];
    }

    internal void ThrowIfReleased()
    {
        if (_released)
            throw new ObjectDisposedException(null, $"the {Shape} tensor made by {Origin} was used after its step or scope ended");
    }
}
