namespace DtoKd.Engine;

internal sealed unsafe class SoftmaxReference : ISoftmaxKernels
{
    public void Forward(Tensor x, Tensor y, SoftmaxExtent extent, bool logarithm)
    {
        var (outer, length, inner) = extent;
        double* px = x.Pointer<double>(), py = y.Pointer<double>();
        for (long row = 0; row < outer * inner; row++)
        {
            long at = (row / inner * length * inner) + (row % inner);
            double max = double.NegativeInfinity, sum = 0;
            for (long i = 0; i < length; i++)
                max = Math.Max(max, px[at + (i * inner)]);
            for (long i = 0; i < length; i++)
                sum += Math.Exp(px[at + (i * inner)] - max);
            for (long i = 0; i < length; i++)
            {
                double shifted = px[at + (i * inner)] - max;
                py[at + (i * inner)] = logarithm ? shifted - Math.Log(sum) : Math.Exp(shifted) / sum;
            }
        }
    }

    public void Backward(Tensor dy, Tensor y, GradTarget dx, SoftmaxExtent extent, bool logarithm)
    {
        var (outer, length, inner) = extent;
        double* pdy = dy.Pointer<double>(), py = y.Pointer<double>(), pdx = dx.Tensor.Pointer<double>();
        for (long row = 0; row < outer * inner; row++)
        {
            long at = (row / inner * length * inner) + (row % inner);
            double sum = 0;
            for (long i = 0; i < length; i++)
                sum += pdy[at + (i * inner)] * (logarithm ? 1 : py[at + (i * inner)]);
            for (long i = 0; i < length; i++)
            {
                long k = at + (i * inner);
                double d = logarithm ? pdy[k] - (Math.Exp(py[k]) * sum) : py[k] * (pdy[k] - sum);
                pdx[k] = (dx.Accumulate ? pdx[k] : 0) + d;
            }
        }
    }
}
