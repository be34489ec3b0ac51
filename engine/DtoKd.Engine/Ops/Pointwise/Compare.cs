using System.Numerics;
using DtoKd.Engine.Cpu;

namespace DtoKd.Engine;

public static unsafe partial class Op
{
    // A block compares about this many pairs.
    private const long CompareGrain = 16384;

    /// <summary>A Bool tensor: where a equals b, with broadcasting. False where either is NaN.</summary>
    /// <param name="a">Floats or integers.</param>
    /// <param name="b">Of the same type.</param>
    public static Tensor Eq(Tensor a, Tensor b) => Compare<IsEqual>("eq", a, b);

    /// <summary>A Bool tensor: where a differs from b, with broadcasting. True where either is NaN.</summary>
    /// <inheritdoc cref="Eq"/>
    public static Tensor Ne(Tensor a, Tensor b) => Compare<IsDifferent>("ne", a, b);

    /// <summary>A Bool tensor: where a is less than b, with broadcasting.</summary>
    /// <inheritdoc cref="Eq"/>
    public static Tensor Lt(Tensor a, Tensor b) => Compare<IsLess>("lt", a, b);

    /// <summary>A Bool tensor: where a is less than b or equal, with broadcasting.</summary>
    /// <inheritdoc cref="Eq"/>
    public static Tensor Le(Tensor a, Tensor b) => Compare<IsLessOrEqual>("le", a, b);

    /// <summary>A Bool tensor: where a is greater than b, with broadcasting.</summary>
    /// <inheritdoc cref="Eq"/>
    public static Tensor Gt(Tensor a, Tensor b) => Compare<IsLess>("gt", b, a);

    /// <summary>A Bool tensor: where a is greater than b or equal, with broadcasting.</summary>
    /// <inheritdoc cref="Eq"/>
    public static Tensor Ge(Tensor a, Tensor b) => Compare<IsLessOrEqual>("ge", b, a);

    private static Tensor Compare<TTest>(string op, Tensor a, Tensor b)
        where TTest : struct, ITest
    {
        var step = Step.Of(op, a, b);
        step.RefuseGradient(op, a, b);
        Pointwise.RequireSameType(op, a, b);
        var y = step.New(Shape.Broadcast(op, a.Shape, b.Shape), DType.Bool, op);
        switch (a.DType)
        {
            case DType.F32:
                Compare<float, TTest>(a, b, y);
                break;
            case DType.F64:
                Compare<double, TTest>(a, b, y);
                break;
            case DType.I64:
                Compare<long, TTest>(a, b, y);
                break;
            case DType.I32:
                Compare<int, TTest>(a, b, y);
                break;
            default:
                throw new ArgumentException($"{op}: needs numbers, not {a}");
        }

        return y;
    }

    private static void Compare<T, TTest>(Tensor a, Tensor b, Tensor y)
        where T : unmanaged, INumber<T>
        where TTest : struct, ITest
    {
        var loop = new StridedLoop(
            y.Shape, y.Strides, a.Strides.BroadcastTo(a.Shape, y.Shape), b.Strides.BroadcastTo(b.Shape, y.Shape));
        if (!y.Device.IsHost)
        {
            Gpu.CompareKernel<T, TTest>.Launch(loop, a, b, y);
            return;
        }

        T* pa = a.Pointer<T>(), pb = b.Pointer<T>();
        bool* py = y.Pointer<bool>();
        ((CpuDevice)y.Device).Team.ForRange(loop.Rows, Math.Max(1, CompareGrain / loop.Inner), (start, end) =>
        {
            Span<long> at = stackalloc long[StridedLoop.MaxOperands];
            for (long row = start; row < end; row++)
            {
                loop.Offsets(row, at);
                CompareRow<T, TTest>(pa + at[1], loop.InnerStride(1), pb + at[2], loop.InnerStride(2), py + at[0], loop.Inner);
            }
        });
    }

    private static void CompareRow<T, TTest>(T* a, long strideA, T* b, long strideB, bool* y, long count)
        where T : unmanaged, INumber<T>
        where TTest : struct, ITest
    {
        for (long i = 0; i < count; i++)
            y[i] = TTest.Of(a[i * strideA], b[i * strideB]);
    }

    internal interface ITest
    {
        static abstract bool Of<T>(T a, T b)
            where T : INumber<T>;
    }

    internal readonly struct IsEqual : ITest
    {
        public static bool Of<T>(T a, T b)
            where T : INumber<T> => a == b;
    }

    internal readonly struct IsDifferent : ITest
    {
        public static bool Of<T>(T a, T b)
            where T : INumber<T> => a != b;
    }

    internal readonly struct IsLess : ITest
    {
        public static bool Of<T>(T a, T b)
            where T : INumber<T> => a < b;
    }

    internal readonly struct IsLessOrEqual : ITest
    {
        public static bool Of<T>(T a, T b)
            where T : INumber<T> => a <= b;
    }
}
