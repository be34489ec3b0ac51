using DtoKd.Engine.Cpu;

namespace DtoKd.Engine;

/// <summary>
/// The gradients of y = a b on the host where b has one number for each row of a, as the channel weights of squeeze-excite have
/// for each plane: da = dy b and db = the sums over the rows of dy a, in one pass.
/// </summary>
internal static class RowFactor
{
    private static readonly KernelTable<IRowFactorKernels> _kernels = new(new RowFactorReference(), new RowFactorCpu());

    /// <summary>Whether b's axes are a's up to some axis and 1 behind it.</summary>
    public static bool Suits(Tensor a, Tensor b)
    {
        if (!a.Device.IsHost || a.Shape.Rank != b.Shape.Rank || b.Count == a.Count || b.Count == 0)
            return false;
        int axis = 0;
        while (axis < a.Shape.Rank && a.Shape[axis] == b.Shape[axis])
            axis++;
        return b.Shape.CountOf(axis, b.Shape.Rank) == 1;
    }

    /// <summary>Hands in the gradients of inputs 0 (a) and 1 (b), all contiguous.</summary>
    public static void Backward(Tensor dy, Tensor a, Tensor b, Gradients into)
    {
        var db = into.Target(1);
        _kernels.For(dy).Backward(dy, a, b, into.Target(0, dy), db);
    }
}

/// <summary>Kernels of <see cref="RowFactor"/>; da may be dy.</summary>
internal interface IRowFactorKernels
{
    void Backward(Tensor dy, Tensor a, Tensor b, GradTarget da, GradTarget db);
}

internal sealed unsafe class RowFactorReference : IRowFactorKernels
{
    public void Backward(Tensor dy, Tensor a, Tensor b, GradTarget da, GradTarget db)
    {
        double* pdy = dy.Pointer<double>(), pda = da.Tensor.Pointer<double>(), pdb = db.Tensor.Pointer<double>();
        long length = a.Count / b.Count;
        for (long row = 0; row < b.Count; row++)
        {
            double sum = db.Accumulate ? pdb[row] : 0;
            for (long i = row * length; i < (row + 1) * length; i++)
            {
                double d = pdy[i];
                sum += d * a.Pointer<double>()[i];
                pda[i] = (da.Accumulate ? pda[i] : 0) + (d * b.Pointer<double>()[row]);
            }

            pdb[row] = sum;
        }
    }
}

internal sealed unsafe class RowFactorCpu : IRowFactorKernels
{
    private const long Grain = 16384;

    public void Backward(Tensor dy, Tensor a, Tensor b, GradTarget da, GradTarget db)
    {
        switch (((CpuDevice)dy.Device).Vectors)
        {
            case LaneKind.Lane512:
                Backward<Lane512>(dy, a, b, da, db);
                break;
            case LaneKind.Lane256:
                Backward<Lane256>(dy, a, b, da, db);
                break;
            default:
                Backward<LaneVector>(dy, a, b, da, db);
                break;
        }
    }

    private static void Backward<V>(Tensor dy, Tensor a, Tensor b, GradTarget da, GradTarget db)
        where V : unmanaged, IFloatLane<V>
    {
        long length = a.Count / b.Count;
        float* pdy = dy.Pointer<float>(), pa = a.Pointer<float>(), pb = b.Pointer<float>();
        float* pda = da.Tensor.Pointer<float>(), pdb = db.Tensor.Pointer<float>();
        ((CpuDevice)dy.Device).Team.ForRange(b.Count, Math.Max(1, Grain / Math.Max(1, length)), (start, end) =>
        {
            for (long row = start; row < end; row++)
            {
                long at = row * length;
                double sum = Row<V>(pdy + at, pa + at, pb[row], pda + at, da.Accumulate, length);
                pdb[row] = (float)(db.Accumulate ? pdb[row] + sum : sum);
            }
        });
    }

    private static double Row<V>(float* dy, float* a, float b, float* da, bool accumulate, long count)
        where V : unmanaged, IFloatLane<V>
    {
        var factor = V.Broadcast(b);
        double sum = 0;
        for (long start = 0; start < count; start += LaneRow.Piece)
        {
            long end = Math.Min(count, start + LaneRow.Piece);
            var piece = V.Of(0);
            for (long i = start; i < end; i += V.Width)
            {
                long left = end - i;
                var d = LaneRow.Load<V>(dy + i, left);
                piece = V.MultiplyAdd(d, LaneRow.Load<V>(a + i, left), piece);
                d *= factor;
                LaneRow.Store(accumulate ? d + LaneRow.Load<V>(da + i, left) : d, da + i, left);
            }

            sum += V.Sum(piece);
        }

        return sum;
    }
}
