using DtoKd.Engine.Cpu;

namespace DtoKd.Engine;

/// <summary>
/// Applies <see cref="IMap"/> formulas to tensors that broadcast together, and puts the unary and binary ones on the tape.
/// </summary>
internal static unsafe partial class Pointwise
{
    /// <summary>Elements per block: large enough to hide the hand-over to a thread, small enough to stay in the first cache.</summary>
    private const long Grain = 8192;

    /// <summary>y = formula(x), recorded.</summary>
    public static Tensor Unary<TFormula>(string op, Tensor x, TFormula formula)
        where TFormula : struct, IUnary
    {
        var step = Step.Of(op, x);
        RequireFloat(op, x);
        var y = step.New(x.Shape, x.DType, op);
        Run(new UnaryValue<TFormula>(formula), y, x, x, x);
        if (step.Tracks(x))
            step.Record(y, new UnaryNode<TFormula>(op, formula, TFormula.SlopeOfResult ? y : x), x);
        return y;
    }

    /// <summary>y = formula(a, b) with broadcasting, recorded.</summary>
    public static Tensor Binary<TFormula>(string op, Tensor a, Tensor b, TFormula formula)
        where TFormula : struct, IBinary
    {
        var y = Broadcast(op, a, b, new BinaryValue<TFormula>(formula));
        if (y.Step!.Tracks(a, b))
            y.Step.Record(y, new BinaryNode<TFormula>(op, formula, a, b), a, b);
        return y;
    }

    /// <summary>A new tensor map(a, b) of the shape that both broadcast to. Nothing is recorded.</summary>
    public static Tensor Broadcast<TMap>(string op, Tensor a, Tensor b, TMap map)
        where TMap : struct, IMap
    {
        var step = Step.Of(op, a, b);
        RequireFloat(op, a);
        RequireSameType(op, a, b);
        var y = step.New(Shape.Broadcast(op, a.Shape, b.Shape), a.DType, op);
        Run(map, y, a, b, b);
        return y;
    }

    /// <summary>
    /// y = map(a, b, c); the inputs broadcast to y, which is contiguous and may be one of them. Nothing is recorded.
    /// </summary>
    public static void Run<TMap>(TMap map, Tensor y, Tensor a, Tensor b, Tensor c)
        where TMap : struct, IMap
    {
        if (!y.Device.Computes)
            return;
        var loop = new StridedLoop(
            y.Shape,
            y.Strides,
            a.Strides.BroadcastTo(a.Shape, y.Shape),
            b.Strides.BroadcastTo(b.Shape, y.Shape),
            c.Strides.BroadcastTo(c.Shape, y.Shape));
        if (!y.Device.IsHost)
        {
            Gpu.PointwiseGpu.Run(map, loop, y, a, b, c);
            return;
        }

        if (y.DType == DType.F64)
        {
            Reference(map, loop, y, a, b, c);
            return;
        }

        switch (((CpuDevice)y.Device).Simd)
        {
            case SimdLevel.Avx512:
                Vectors<TMap, Lane512>(map, loop, y, a, b, c);
                break;
            case SimdLevel.Avx2:
                Vectors<TMap, Lane256>(map, loop, y, a, b, c);
                break;
            default:
                Vectors<TMap, LaneVector>(map, loop, y, a, b, c);
                break;
        }
    }

    public static void RequireFloat(string op, Tensor x)
    {
        if (!x.DType.IsFloat())
            throw new ArgumentException($"{op}: needs a float tensor, not {x}");
    }

    public static void RequireSameType(string op, Tensor a, Tensor b)
    {
        if (a.DType != b.DType)
            throw new ArgumentException($"{op}: inputs of types {a.DType} and {b.DType}");
    }

    private static void Reference<TMap>(TMap map, StridedLoop loop, Tensor y, Tensor a, Tensor b, Tensor c)
        where TMap : struct, IMap
    {
        double* py = y.Pointer<double>(), pa = a.Pointer<double>(), pb = b.Pointer<double>(), pc = c.Pointer<double>();
        Span<long> at = stackalloc long[StridedLoop.MaxOperands];
        for (long row = 0; row < loop.Rows; row++)
        {
            loop.Offsets(row, at);
            for (long i = 0; i < loop.Inner; i++)
            {
                py[at[0] + (i * loop.InnerStride(0))] = map.Map<LaneDouble>(
                    pa[at[1] + (i * loop.InnerStride(1))],
                    pb[at[2] + (i * loop.InnerStride(2))],
                    pc[at[3] + (i * loop.InnerStride(3))]).Value;
            }
        }
    }

    // Rows shorter than a block are grouped, longer ones are cut, so that a block is about Grain elements either way.
    private static void Vectors<TMap, V>(TMap map, StridedLoop loop, Tensor y, Tensor a, Tensor b, Tensor c)
        where TMap : struct, IMap
        where V : unmanaged, IFloatLane<V>
    {
        float* py = y.Pointer<float>(), pa = a.Pointer<float>(), pb = b.Pointer<float>(), pc = c.Pointer<float>();
        var team = ((CpuDevice)y.Device).Team;
        if (loop.Rows == 1)
        {
            team.ForRange(loop.Inner, Grain, (start, end) =>
            {
                long sa = loop.InnerStride(1), sb = loop.InnerStride(2), sc = loop.InnerStride(3);
                Row<TMap, V>(
                    map, py + start, new(pa + (start * sa), sa), new(pb + (start * sb), sb), new(pc + (start * sc), sc), end - start);
            });
            return;
        }

        team.ForRange(loop.Rows, Math.Max(1, Grain / loop.Inner), (start, end) =>
        {
            Span<long> at = stackalloc long[StridedLoop.MaxOperands];
            for (long row = start; row < end; row++)
            {
                loop.Offsets(row, at);
                Row<TMap, V>(
                    map,
                    py + at[0],
                    new(pa + at[1], loop.InnerStride(1)),
                    new(pb + at[2], loop.InnerStride(2)),
                    new(pc + at[3], loop.InnerStride(3)),
                    loop.Inner);
            }
        });
    }

    private static void Row<TMap, V>(TMap map, float* y, Operand a, Operand b, Operand c, long count)
        where TMap : struct, IMap
        where V : unmanaged, IFloatLane<V>
    {
        long i = 0;
        for (; i + V.Width <= count; i += V.Width)
        {
            var x = a.Load<V>(i);
            V.Store(map.Map(x, TMap.Arity > 1 ? b.Load<V>(i) : x, TMap.Arity > 2 ? c.Load<V>(i) : x), y + i);
        }

        int rest = (int)(count - i);
        if (rest == 0)
            return;
        var tail = a.LoadPart<V>(i, rest);
        V.StorePart(map.Map(tail, TMap.Arity > 1 ? b.LoadPart<V>(i, rest) : tail, TMap.Arity > 2 ? c.LoadPart<V>(i, rest) : tail), y + i, rest);
    }

    /// <summary>A row of floats at an even distance; 0 repeats one number.</summary>
    private readonly struct Operand(float* start, long stride)
    {
        private readonly float* _start = start;

        public V Load<V>(long i)
            where V : unmanaged, IFloatLane<V> =>
            stride == 1 ? V.Load(_start + i) : LoadPart<V>(i, V.Width);

        public V LoadPart<V>(long i, int count)
            where V : unmanaged, IFloatLane<V>
        {
            if (stride == 0)
                return V.Broadcast(*_start);
            if (stride == 1)
                return V.LoadPart(_start + i, count, 0);
            float* gathered = stackalloc float[V.Width];
            for (int k = 0; k < count; k++)
                gathered[k] = _start[(i + k) * stride];
            return V.Load(gathered);
        }
    }

    private sealed class UnaryNode<TFormula> : Node
        where TFormula : struct, IUnary
    {
        private readonly TFormula _formula;
        private readonly Tensor _saved;

        public UnaryNode(string op, TFormula formula, Tensor saved)
        {
            Name = op;
            _formula = formula;
            _saved = Save(saved);
        }

        public override string Name { get; }

        public override void Backward(Tensor dy, Gradients into)
        {
            var dx = into.Over(dy);
            Run(new UnaryGradient<TFormula>(_formula), dx, dy, _saved, _saved);
            into.Give(0, dx);
        }
    }

    private sealed class BinaryNode<TFormula> : Node
        where TFormula : struct, IBinary
    {
        private readonly TFormula _formula;
        private readonly Tensor _a;
        private readonly Tensor _b;

        public BinaryNode(string op, TFormula formula, Tensor a, Tensor b)
        {
            Name = op;
            _formula = formula;
            _a = Save(a);
            _b = Save(b);
        }

        public override string Name { get; }

        public override void Backward(Tensor dy, Gradients into)
        {
            if (into.Wants(0))
            {
                var room = into.Wants(1) ? into.Step.New(dy.Shape, dy.DType, Name) : into.Over(dy);
                into.Give(0, Product(dy, new GradientA<TFormula>(_formula), room, _a.Shape));
            }

            if (into.Wants(1))
                into.Give(1, Product(dy, new GradientB<TFormula>(_formula), into.Over(dy), _b.Shape));
        }

        private Tensor Product<TMap>(Tensor dy, TMap map, Tensor product, Shape shape)
            where TMap : struct, IMap
        {
            Run(map, product, dy, _a, _b);
            return Op.SumTo(product, shape);
        }
    }
}
