using DtoKd.Engine.Cpu;

namespace DtoKd.Engine;

/// <summary>
/// Strides go to the GEMM as they are. Leading axes along which b is broadcast join the rows where a's strides allow, so that a
/// batch times one matrix is one product; the axes that remain are a batch of products.
/// </summary>
internal sealed unsafe class MatMulCpu : IMatMulKernels
{
    public void Product(Tensor a, Tensor b, Tensor? bias, Tensor y, bool accumulate)
    {
        if (y.Count == 0)
            return;
        var device = (CpuDevice)y.Device;
        int n = y.Shape[^1], k = a.Shape[^1];
        var sa = a.Strides.BroadcastTo(a.Shape, y.Shape.With(-1, k));
        var sb = b.Strides.BroadcastTo(b.Shape, y.Shape.With(-2, k));
        int column = y.Shape.Rank - 1, row = column - 1;

        long rows = y.Shape[^2], rowStride = sa[row];
        int batchAxes = row;
        for (; batchAxes > 0; batchAxes--)
        {
            int axis = batchAxes - 1, size = y.Shape[axis];
            if (size == 1)
                continue;
            if (sb[axis] != 0 || (rows > 1 && sa[axis] != rowStride * rows))
                break;
            if (rows == 1)
                rowStride = sa[axis];
            rows *= size;
        }

        var left = new MatrixView(a.Pointer<float>(), rowStride, sa[column]);
        var right = new MatrixView(b.Pointer<float>(), sb[row], sb[column]);
        var epilogue = new GemmEpilogue { Accumulate = accumulate, Bias = bias is null ? null : bias.Pointer<float>() };
        float* target = y.Pointer<float>();
        int m = checked((int)rows);
        var batch = new Shape(y.Shape.ToArray().AsSpan(0, batchAxes));
        if (batch.Count == 1)
        {
            Gemm.Run(device, m, n, k, left, right, target, n, epilogue);
            return;
        }

        var offsets = (A: new long[batch.Count], B: new long[batch.Count], Y: new long[batch.Count]);
        StridedIndex aAt = new(batch, sa), bAt = new(batch, sb);
        for (int i = 0; i < offsets.Y.Length; i++, aAt.Next(), bAt.Next())
            (offsets.A[i], offsets.B[i], offsets.Y[i]) = (aAt.Offset, bAt.Offset, (long)i * m * n);
        Gemm.RunBatch(device, m, n, k, left, offsets.A, right, offsets.B, target, offsets.Y, n, epilogue);
    }
}
