using DtoKd.Engine.Cpu;

namespace DtoKd.Engine;

/// <summary>Strides go to the GEMM as they are; see <see cref="MatMulPlan"/> for the batch.</summary>
internal sealed unsafe class MatMulCpu : IMatMulKernels
{
    public void Product(Tensor a, Tensor b, Tensor? bias, Tensor y, bool accumulate, ProductEnd end)
    {
        if (y.Count == 0)
            return;
        var device = (CpuDevice)y.Device;
        var plan = new MatMulPlan(a, b, y);
        int m = plan.Rows, n = plan.Columns, k = plan.Inner;
        var left = new MatrixView(a.Pointer<float>(), plan.RowStrideA, plan.ColumnStrideA);
        var right = new MatrixView(b.Pointer<float>(), plan.RowStrideB, plan.ColumnStrideB);
        var epilogue = new GemmEpilogue
        {
            Accumulate = accumulate,
            Bias = bias is null ? null : bias.Pointer<float>(),
            Finish = end.OnTile(device.Vectors),
            Companion = end.Companion is null ? null : end.Companion.Pointer<float>(),
        };
        float* target = y.Pointer<float>();
        if (plan.Batch.Count == 1)
        {
            Gemm.Run(device, m, n, k, left, right, target, n, epilogue);
            return;
        }

        var offsets = (A: new long[plan.Batch.Count], B: new long[plan.Batch.Count], Y: new long[plan.Batch.Count]);
        StridedIndex aAt = new(plan.Batch, plan.A), bAt = new(plan.Batch, plan.B);
        for (int i = 0; i < offsets.Y.Length; i++, aAt.Next(), bAt.Next())
            (offsets.A[i], offsets.B[i], offsets.Y[i]) = (aAt.Offset, bAt.Offset, (long)i * m * n);
        Gemm.RunBatch(device, m, n, k, left, offsets.A, right, offsets.B, target, offsets.Y, n, epilogue);
    }
}
