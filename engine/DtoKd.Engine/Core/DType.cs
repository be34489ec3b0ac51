namespace DtoKd.Engine;

/// <summary>The element type of a <see cref="Tensor"/>.</summary>
public enum DType
{
    /// <summary>32-bit float: what networks compute with.</summary>
    F32,

    /// <summary>64-bit float: gradient checks and the reference of every operation.</summary>
    F64,

    /// <summary>32-bit integer.</summary>
    I32,

    /// <summary>64-bit integer: class labels and indices.</summary>
    I64,

    /// <summary>One byte, 0 or 1: masks.</summary>
    Bool,
}

/// <summary>Facts about <see cref="DType"/>.</summary>
public static class DTypes
{
    /// <summary>The size of one element in bytes.</summary>
    public static int Size(this DType type) => type switch
    {
        DType.F32 or DType.I32 => 4,
        DType.F64 or DType.I64 => 8,
        DType.Bool => 1,
        _ => throw new ArgumentOutOfRangeException(nameof(type)),
    };

    /// <summary>Whether the type has gradients.</summary>
    public static bool IsFloat(this DType type) => type is DType.F32 or DType.F64;

    /// <summary>The type whose elements are <typeparamref name="T"/>.</summary>
    /// <exception cref="NotSupportedException">No tensor has such elements.</exception>
    public static DType Of<T>()
        where T : unmanaged =>
        typeof(T) == typeof(float) ? DType.F32
        : typeof(T) == typeof(double) ? DType.F64
        : typeof(T) == typeof(int) ? DType.I32
        : typeof(T) == typeof(long) ? DType.I64
        : typeof(T) == typeof(bool) ? DType.Bool
        : throw new NotSupportedException($"no tensor has elements of type {typeof(T).Name}");
}
