using DtoKd.Engine.Cpu;

namespace DtoKd.Engine;

/// <summary>A way to make one number of two, in any order, for <see cref="Fold"/>.</summary>
internal interface IFold
{
    /// <summary>The result over no elements.</summary>
    static abstract double Start { get; }

    static abstract V Of<V>(V a, V b)
        where V : unmanaged, ILane<V>;
}

/// <summary>
/// Reductions by a maximum, a minimum or a product. Rows (inner = 1) are folded in vectors over pieces of fixed length, whose
/// results are folded in order; columns row by row, a strip of columns per block.
/// </summary>
internal static unsafe class Fold
{
    private const long Piece = 32768;
    private const long Strip = 256;

    /// <summary>y[o, i] = x[o, 0, i] . x[o, 1, i] . ..., both contiguous.</summary>
    public static void Run<TFold>(Tensor x, Tensor y, long outer, long reduced, long inner)
        where TFold : struct, IFold
    {
        if (y.Count == 0)
            return;
        if (!x.Device.IsHost)
        {
            Gpu.FoldGpu.Run<TFold>(x, y, outer, reduced, inner);
            return;
        }

        if (x.DType == DType.F64)
        {
            Reference<TFold>(x.Pointer<double>(), y.Pointer<double>(), outer, reduced, inner);
            return;
        }

        switch (((CpuDevice)x.Device).Vectors)
        {
            case LaneKind.Lane512:
                Vectors<TFold, Lane512>(x, y, outer, reduced, inner);
                break;
            case LaneKind.Lane256:
                Vectors<TFold, Lane256>(x, y, outer, reduced, inner);
                break;
            default:
                Vectors<TFold, LaneVector>(x, y, outer, reduced, inner);
                break;
        }
    }

    private static void Reference<TFold>(double* x, double* y, long outer, long reduced, long inner)
        where TFold : struct, IFold
    {
        for (long o = 0; o < outer; o++)
        {
            for (long i = 0; i < inner; i++)
            {
                LaneDouble result = TFold.Start;
                for (long r = 0; r < reduced; r++)
                    result = TFold.Of(result, (LaneDouble)x[(((o * reduced) + r) * inner) + i]);
                y[(o * inner) + i] = result.Value;
            }
        }
    }

    private static void Vectors<TFold, V>(Tensor x, Tensor y, long outer, long reduced, long inner)
        where TFold : struct, IFold
        where V : unmanaged, IFloatLane<V>
    {
        float* px = x.Pointer<float>(), py = y.Pointer<float>();
        var team = ((CpuDevice)x.Device).Team;
        if (inner == 1)
        {
            Rows<TFold, V>(team, px, py, outer, reduced);
            return;
        }

        long strips = (inner + Strip - 1) / Strip;
        team.ForRange(outer * strips, Math.Max(1, Piece / (Math.Max(1, reduced) * Math.Min(Strip, inner))), (start, end) =>
        {
            for (long k = start; k < end; k++)
            {
                long first = k % strips * Strip, o = k / strips;
                float* source = px + (o * reduced * inner) + first;
                Columns<TFold, V>(source, py + (o * inner) + first, reduced, inner, Math.Min(Strip, inner - first));
            }
        });
    }

    private static void Rows<TFold, V>(ThreadTeam team, float* x, float* y, long rows, long length)
        where TFold : struct, IFold
        where V : unmanaged, IFloatLane<V>
    {
        long pieces = Math.Max(1, (length + Piece - 1) / Piece);
        var partial = new float[rows * pieces];
        team.ForRange(rows * pieces, Math.Max(1, Piece / Math.Max(1, length)), (start, end) =>
        {
            for (long k = start; k < end; k++)
            {
                long from = k % pieces * Piece;
                partial[k] = Row<TFold, V>(x + (k / pieces * length) + from, Math.Min(Piece, length - from));
            }
        });
        for (long row = 0; row < rows; row++)
        {
            LaneDouble result = TFold.Start;
            for (long k = 0; k < pieces; k++)
                result = TFold.Of(result, (LaneDouble)partial[(row * pieces) + k]);
            y[row] = (float)result.Value;
        }
    }

    private static float Row<TFold, V>(float* x, long count)
        where TFold : struct, IFold
        where V : unmanaged, IFloatLane<V>
    {
        V a = V.Of(TFold.Start), b = a;
        long i = 0;
        for (; i + (2 * V.Width) <= count; i += 2 * V.Width)
        {
            a = TFold.Of(a, V.Load(x + i));
            b = TFold.Of(b, V.Load(x + i + V.Width));
        }

        for (; i < count; i += V.Width)
            a = TFold.Of(a, LaneRow.Load<V>(x + i, count - i, (float)TFold.Start));
        float* lanes = stackalloc float[V.Width];
        V.Store(TFold.Of(a, b), lanes);
        LaneDouble result = (double)lanes[0];
        for (int k = 1; k < V.Width; k++)
            result = TFold.Of(result, (LaneDouble)(double)lanes[k]);
        return (float)result.Value;
    }

    private static void Columns<TFold, V>(float* x, float* y, long rows, long stride, long columns)
        where TFold : struct, IFold
        where V : unmanaged, IFloatLane<V>
    {
        for (long i = 0; i < columns; i += V.Width)
        {
            var result = V.Of(TFold.Start);
            for (long row = 0; row < rows; row++)
                result = TFold.Of(result, LaneRow.Load<V>(x + (row * stride) + i, columns - i));
            LaneRow.Store(result, y + i, columns - i);
        }
    }
}
