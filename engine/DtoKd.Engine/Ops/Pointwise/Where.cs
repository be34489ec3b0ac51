using System.Numerics;
using DtoKd.Engine.Cpu;

namespace DtoKd.Engine;

public static unsafe partial class Op
{
    // A block selects about this many elements.
    private const long WhereGrain = 16384;

    /// <summary>a where the mask is set, b elsewhere, with broadcasting of all three.</summary>
    /// <param name="mask">A Bool tensor.</param>
    /// <param name="a">A tensor of any type.</param>
    /// <param name="b">Of the same type.</param>
    public static Tensor Where(Tensor mask, Tensor a, Tensor b)
    {
        var step = Step.Of("where", mask, a, b);
        RequireMask("where", mask);
        Pointwise.RequireSameType("where", a, b);
        var shape = Shape.Broadcast("where", mask.Shape, Shape.Broadcast("where", a.Shape, b.Shape));
        var y = step.New(shape, a.DType, "where");
        switch (a.DType.Size())
        {
            case 4:
                Where<uint>(mask, a, b, y);
                break;
            case 8:
                Where<ulong>(mask, a, b, y);
                break;
            default:
                Where<byte>(mask, a, b, y);
                break;
        }

        if (step.Tracks(a, b))
            step.Record(y, new WhereNode(mask), a, b);
        return y;
    }

    /// <summary>A number where the mask is set, x elsewhere.</summary>
    /// <param name="x">A float tensor.</param>
    /// <param name="mask">A Bool tensor of x's shape, or one that broadcasts to it.</param>
    /// <param name="value">The number.</param>
    public static Tensor MaskedFill(Tensor x, Tensor mask, double value)
    {
        Pointwise.RequireFloat("maskedfill", x);
        if (Shape.Broadcast("maskedfill", x.Shape, mask.Shape) != x.Shape)
            throw new ArgumentException($"maskedfill: a mask of shape {mask.Shape} for an input of shape {x.Shape}");
        return Where(mask, Step.Of("maskedfill", x, mask).Full([], value, x.DType), x);
    }

    private static void RequireMask(string op, Tensor mask)
    {
        if (mask.DType != DType.Bool)
            throw new ArgumentException($"{op}: needs a Bool mask, not {mask}");
    }

    private static void Where<T>(Tensor mask, Tensor a, Tensor b, Tensor y)
        where T : unmanaged, IBinaryInteger<T>
    {
        var loop = new StridedLoop(
            y.Shape,
            y.Strides,
            mask.Strides.BroadcastTo(mask.Shape, y.Shape),
            a.Strides.BroadcastTo(a.Shape, y.Shape),
            b.Strides.BroadcastTo(b.Shape, y.Shape));
        if (!y.Device.IsHost)
        {
            Gpu.WhereKernel<T>.Launch(loop, mask, a, b, y);
            return;
        }

        bool* pm = mask.Pointer<bool>();
        T* pa = (T*)a.Bytes(), pb = (T*)b.Bytes(), py = (T*)y.Bytes();
        long sm = loop.InnerStride(1), sa = loop.InnerStride(2), sb = loop.InnerStride(3);
        var team = ((CpuDevice)y.Device).Team;
        if (loop.Rows == 1)
        {
            team.ForRange(loop.Inner, WhereGrain, (start, end) =>
                WhereRow(pm + (start * sm), sm, pa + (start * sa), sa, pb + (start * sb), sb, py + start, end - start));
            return;
        }

        team.ForRange(loop.Rows, Math.Max(1, WhereGrain / loop.Inner), (start, end) =>
        {
            Span<long> at = stackalloc long[StridedLoop.MaxOperands];
            for (long row = start; row < end; row++)
            {
                loop.Offsets(row, at);
                WhereRow(pm + at[1], sm, pa + at[2], sa, pb + at[3], sb, py + at[0], loop.Inner);
            }
        });
    }

    // A branch would be guessed wrong wherever a random mask changes; so bits are chosen: ofB has none where the mask is set, else all.
    private static void WhereRow<T>(bool* mask, long sm, T* a, long sa, T* b, long sb, T* y, long count)
        where T : unmanaged, IBinaryInteger<T>
    {
        for (long i = 0; i < count; i++)
        {
            T ofB = T.CreateTruncating(mask[i * sm] ? 1 : 0) - T.One, first = a[i * sa];
            y[i] = first ^ ((first ^ b[i * sb]) & ofB);
        }
    }

    /// <summary>The gradient goes to whichever of the two was taken.</summary>
    private sealed class WhereNode : Node
    {
        private readonly Tensor _mask;

        public WhereNode(Tensor mask) => _mask = Save(mask);

        public override string Name => "where";

        public override void Backward(Tensor dy, Gradients into)
        {
            var zero = into.Step.Zeros([], dy.DType);
            if (into.Wants(0))
                into.Give(0, SumTo(Where(_mask, dy, zero), Inputs[0].Shape));
            if (into.Wants(1))
                into.Give(1, SumTo(Where(_mask, zero, dy), Inputs[1].Shape));
        }
    }
}
