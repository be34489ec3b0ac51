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

        switch (((CpuDevice)y.Device).Vectors)
        {
            case LaneKind.Lane512:
                Vectors<TMap, Lane512>(map, loop, y, a, b, c);
                break;
            case LaneKind.Lane256:
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
        var team = ((CpuDevice)y.Device).Team;
        Operand oa = new(a.Pointer<float>(), loop.InnerStride(1)), ob = new(b.Pointer<float>(), loop.InnerStride(2)),
            oc = new(c.Pointer<float>(), loop.InnerStride(3));
        if (loop.Rows != 1)
            Rows<TMap, V>(team, map, loop, y.Pointer<float>(), oa, ob, oc);
        else if (loop.Inner > Grain)
            OneRow<TMap, V>(team, map, y.Pointer<float>(), oa, ob, oc, loop.Inner);
        else
            Row<TMap, V>(map, y.Pointer<float>(), oa, ob, oc, loop.Inner);
    }

    private static void OneRow<TMap, V>(ThreadTeam team, TMap map, float* y, Operand a, Operand b, Operand c, long count)
        where TMap : struct, IMap
        where V : unmanaged, IFloatLane<V> =>
        team.ForRange(count, Grain, (start, end) =>
            Row<TMap, V>(map, y + start, a.From(start), b.From(start), c.From(start), end - start));

    private static void Rows<TMap, V>(ThreadTeam team, TMap map, StridedLoop loop, float* y, Operand a, Operand b, Operand c)
        where TMap : struct, IMap
        where V : unmanaged, IFloatLane<V> =>
        team.ForRange(loop.Rows, Math.Max(1, Grain / loop.Inner), (start, end) =>
        {
            Span<long> at = stackalloc long[StridedLoop.MaxOperands];
            for (long row = start; row < end; row++)
            {
                loop.Offsets(row, at);
                Row<TMap, V>(map, y + at[0], a.At(at[1]), b.At(at[2]), c.At(at[3]), loop.Inner);
            }
        });

    /// <summary>One row; of the operands, each is next to next, one number, or at an even distance.</summary>
    private static void Row<TMap, V>(TMap map, float* y, Operand a, Operand b, Operand c, long count)
        where TMap : struct, IMap
        where V : unmanaged, IFloatLane<V>
    {
        if (a.IsSpread || (TMap.Arity > 1 && b.IsSpread) || (TMap.Arity > 2 && c.IsSpread))
        {
            SpreadRow<TMap, V>(map, y, a, b, c, count);
            return;
        }

        // A number is a vector that the loop does not move on from: then there is one loop for all, without a branch in it.
        float* room = stackalloc float[3 * V.Width];
        float* pa = a.Start<V>(room);
        float* pb = TMap.Arity > 1 ? b.Start<V>(room + V.Width) : pa;
        float* pc = TMap.Arity > 2 ? c.Start<V>(room + (2 * V.Width)) : pa;
        long sa = a.Stride * V.Width, sb = b.Stride * V.Width, sc = c.Stride * V.Width;
        float* end = y + count;
        for (; y + V.Width <= end; y += V.Width)
        {
            var x = V.Load(pa);
            V.Store(map.Map(x, TMap.Arity > 1 ? V.Load(pb) : x, TMap.Arity > 2 ? V.Load(pc) : x), y);
            pa += sa;
            pb += sb;
            pc += sc;
        }

        long rest = end - y;
        if (rest == 0)
            return;
        var tail = Part<V>(pa, sa, rest);
        V.StorePart(
            map.Map(tail, TMap.Arity > 1 ? Part<V>(pb, sb, rest) : tail, TMap.Arity > 2 ? Part<V>(pc, sc, rest) : tail), y, rest);
    }

    private static V Part<V>(float* from, long stride, long count)
        where V : unmanaged, IFloatLane<V> => stride == 0 ? V.Load(from) : V.LoadPart(from, count, 0);

    // Gathers what is spread, a piece of the row at a time.
    private static void SpreadRow<TMap, V>(TMap map, float* y, Operand a, Operand b, Operand c, long count)
        where TMap : struct, IMap
        where V : unmanaged, IFloatLane<V>
    {
        const int Piece = 128;
        float* room = stackalloc float[3 * Piece];
        for (long i = 0; i < count; i += Piece)
        {
            int length = (int)Math.Min(Piece, count - i);
            Row<TMap, V>(
                map,
                y + i,
                a.Gathered(i, length, room),
                TMap.Arity > 1 ? b.Gathered(i, length, room + Piece) : default,
                TMap.Arity > 2 ? c.Gathered(i, length, room + (2 * Piece)) : default,
                length);
        }
    }

    /// <summary>A row of floats at an even distance; 0 repeats one number.</summary>
    private readonly struct Operand(float* start, long stride)
    {
        private readonly float* _start = start;

        public long Stride { get; } = stride;

        public bool IsSpread => Stride is not (0 or 1);

        /// <summary>The row whose first element lies so many further on in memory.</summary>
        public Operand At(long offset) => new(_start + offset, Stride);

        /// <summary>What follows the first elements of this row.</summary>
        public Operand From(long i) => At(i * Stride);

        /// <summary>Where to read vectors from; a number is first written to <paramref name="room"/> for one.</summary>
        public float* Start<V>(float* room)
            where V : unmanaged, IFloatLane<V>
        {
            if (Stride != 0)
                return _start;
            V.Store(V.Broadcast(*_start), room);
            return room;
        }

        /// <summary>A piece of the row, copied to <paramref name="room"/> if it is spread.</summary>
        public Operand Gathered(long first, int count, float* room)
        {
            if (!IsSpread)
                return From(first);
            for (int i = 0; i < count; i++)
                room[i] = _start[(first + i) * Stride];
            return new(room, 1);
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
