namespace DtoKd.Engine;

internal sealed unsafe class MatMulReference : IMatMulKernels
{
    public void Product(Tensor a, Tensor b, Tensor? bias, Tensor y, bool accumulate, ProductEnd end)
    {
        double* pa = a.Pointer<double>(), pb = b.Pointer<double>(), py = y.Pointer<double>();
        double* pBias = bias is null ? null : bias.Pointer<double>();
        int m = y.Shape[^2], n = y.Shape[^1], k = a.Shape[^1];
        var sa = a.Strides.BroadcastTo(a.Shape, y.Shape.With(-1, k));
        var sb = b.Strides.BroadcastTo(b.Shape, y.Shape.With(-2, k));
        int column = y.Shape.Rank - 1, row = column - 1;
        var batch = y.Shape.Without(-1).Without(-1);
        StridedIndex aAt = new(batch, sa), bAt = new(batch, sb);
        for (long c = 0; c < batch.Count; c++, aAt.Next(), bAt.Next())
        {
            for (long i = 0; i < m; i++)
            {
                for (long j = 0; j < n; j++)
                {
                    double sum = bias is null ? 0 : pBias[j];
                    for (long p = 0; p < k; p++)
                    {
                        sum += pa[aAt.Offset + (i * sa[row]) + (p * sa[column])]
                            * pb[bAt.Offset + (p * sb[row]) + (j * sb[column])];
                    }

                    double* target = py + (((c * m) + i) * n) + j;
                    *target = accumulate ? *target + sum : sum;
                }
            }
        }

        end.Run(y);
    }
}
