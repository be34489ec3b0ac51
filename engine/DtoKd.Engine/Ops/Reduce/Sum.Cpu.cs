using DtoKd.Engine.Cpu;

namespace DtoKd.Engine;

/// <summary>
/// Rows (inner = 1) are summed in vectors over pieces of fixed length, whose sums are added in double. Columns are added row
/// by row, a strip of columns per block; long ones in pieces of rows that are added in double afterwards.
/// </summary>
internal sealed unsafe class SumCpu : ISumKernels
{
    // Lengths summed in float before the result moves to a double: the error stays that of a short sum.
    private const long Piece = 2048;
    private const long RowPiece = 256;
    private const long Grain = 32768;

    public void Sum(Tensor x, Tensor y, long outer, long reduced, long inner)
    {
        var device = (CpuDevice)x.Device;
        switch (device.Vectors)
        {
            case LaneKind.Lane512:
                Sum<Lane512>(device, x, y, outer, reduced, inner);
                break;
            case LaneKind.Lane256:
                Sum<Lane256>(device, x, y, outer, reduced, inner);
                break;
            default:
                Sum<LaneVector>(device, x, y, outer, reduced, inner);
                break;
        }
    }

    private static void Sum<V>(CpuDevice device, Tensor x, Tensor y, long outer, long reduced, long inner)
        where V : unmanaged, IFloatLane<V>
    {
        float* px = x.Pointer<float>(), py = y.Pointer<float>();
        if (reduced == 0 || y.Count == 0)
            y.Clear();
        else if (inner == 1)
            SumRows<V>(device, px, py, outer, reduced);
        else
            SumColumns<V>(device, px, py, outer, reduced, inner);
    }

    private static void SumRows<V>(CpuDevice device, float* x, float* y, long rows, long length)
        where V : unmanaged, IFloatLane<V>
    {
        long pieces = (length + Piece - 1) / Piece;
        if (pieces == 1)
        {
            device.Team.ForRange(rows, Math.Max(1, Grain / length), (start, end) =>
            {
                for (long row = start; row < end; row++)
                    y[row] = (float)SumPiece<V>(x + (row * length), length);
            });
            return;
        }

        var room = device.Pool.Rent(rows * pieces * sizeof(double), "sum");
        double* partial = (double*)room.Address;
        device.Team.ForRange(rows * pieces, Grain / Piece, (start, end) =>
        {
            for (long k = start; k < end; k++)
            {
                long from = k % pieces * Piece;
                partial[k] = SumPiece<V>(x + (k / pieces * length) + from, Math.Min(Piece, length - from));
            }
        });
        for (long row = 0; row < rows; row++)
        {
            double sum = 0;
            for (long k = 0; k < pieces; k++)
                sum += partial[(row * pieces) + k];
            y[row] = (float)sum;
        }

        room.Release();
    }

    private static double SumPiece<V>(float* x, long count)
        where V : unmanaged, IFloatLane<V>
    {
        V a = V.Of(0), b = a, c = a, d = a;
        long i = 0;
        for (; i + (4 * V.Width) <= count; i += 4 * V.Width)
        {
            a += V.Load(x + i);
            b += V.Load(x + i + V.Width);
            c += V.Load(x + i + (2 * V.Width));
            d += V.Load(x + i + (3 * V.Width));
        }

        for (; i + V.Width <= count; i += V.Width)
            a += V.Load(x + i);
        double sum = V.Sum(a + b + (c + d));
        for (; i < count; i++)
            sum += x[i];
        return sum;
    }

    private static void SumColumns<V>(CpuDevice device, float* x, float* y, long outer, long rows, long columns)
        where V : unmanaged, IFloatLane<V>
    {
        long pieces = (rows + RowPiece - 1) / RowPiece;
        if (pieces == 1)
        {
            device.Team.ForRange(outer, Math.Max(1, Grain / (rows * columns)), (start, end) =>
            {
                for (long o = start; o < end; o++)
                    AddRows<V>(x + (o * rows * columns), y + (o * columns), rows, columns);
            });
            return;
        }

        var room = device.Pool.Rent(outer * pieces * columns * sizeof(float), "sum");
        float* partial = (float*)room.Address;
        device.Team.For(checked((int)(outer * pieces)), k =>
        {
            long from = k % pieces * RowPiece;
            AddRows<V>(x + (((k / pieces * rows) + from) * columns), partial + (k * columns), Math.Min(RowPiece, rows - from), columns);
        });
        for (long o = 0; o < outer; o++)
        {
            for (long i = 0; i < columns; i++)
            {
                double sum = 0;
                for (long k = 0; k < pieces; k++)
                    sum += partial[(((o * pieces) + k) * columns) + i];
                y[(o * columns) + i] = (float)sum;
            }
        }

        room.Release();
    }

    private static void AddRows<V>(float* x, float* y, long rows, long columns)
        where V : unmanaged, IFloatLane<V>
    {
        new ReadOnlySpan<float>(x, checked((int)columns)).CopyTo(new Span<float>(y, (int)columns));
        for (long row = 1; row < rows; row++)
        {
            float* source = x + (row * columns);
            long i = 0;
            for (; i + V.Width <= columns; i += V.Width)
                V.Store(V.Load(y + i) + V.Load(source + i), y + i);
            for (; i < columns; i++)
                y[i] += source[i];
        }
    }
}
