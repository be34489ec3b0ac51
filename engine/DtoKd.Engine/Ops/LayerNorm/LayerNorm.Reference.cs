namespace DtoKd.Engine;

internal sealed unsafe class LayerNormReference : ILayerNormKernels
{
    public void Forward(
        Tensor x, Tensor? weight, Tensor? bias, Tensor y, Tensor mean, Tensor rstd, long rows, long length, double eps)
    {
        double* px = x.Pointer<double>(), py = y.Pointer<double>(), pm = mean.Pointer<double>(), pr = rstd.Pointer<double>();
        double* w = weight is null ? null : weight.Pointer<double>(), b = bias is null ? null : bias.Pointer<double>();
        for (long row = 0; row < rows; row++, px += length, py += length)
        {
            double sum = 0, squares = 0;
            for (long i = 0; i < length; i++)
                sum += px[i];
            pm[row] = sum / length;
            for (long i = 0; i < length; i++)
                squares += (px[i] - pm[row]) * (px[i] - pm[row]);
            pr[row] = 1 / Math.Sqrt((squares / length) + eps);
            for (long i = 0; i < length; i++)
                py[i] = ((px[i] - pm[row]) * pr[row] * (w == null ? 1 : w[i])) + (b == null ? 0 : b[i]);
        }
    }

    public void Backward(
        Step step,
        Tensor dy,
        Tensor x,
        Tensor? weight,
        Tensor mean,
        Tensor rstd,
        GradTarget? dx,
        GradTarget? dweight,
        GradTarget? dbias,
        long rows,
        long length)
    {
        double* pdy = dy.Pointer<double>(), px = x.Pointer<double>(), pm = mean.Pointer<double>(), pr = rstd.Pointer<double>();
        double* w = weight is null ? null : weight.Pointer<double>();
        if (dx is { } input)
        {
            double* pdx = input.Tensor.Pointer<double>();
            for (long row = 0; row < rows; row++)
            {
                long at = row * length;
                double G(long i) => pdy[at + i] * (w == null ? 1 : w[i]);
                double H(long i) => (px[at + i] - pm[row]) * pr[row];
                double g = 0, gh = 0;
                for (long i = 0; i < length; i++)
                {
                    g += G(i) / length;
                    gh += G(i) * H(i) / length;
                }

                for (long i = 0; i < length; i++)
                    pdx[at + i] = (input.Accumulate ? pdx[at + i] : 0) + (pr[row] * (G(i) - g - (H(i) * gh)));
            }
        }

        for (long i = 0; i < length; i++)
        {
            double dw = 0, db = 0;
            for (long row = 0; row < rows; row++)
            {
                double g = pdy[(row * length) + i];
                dw += g * (px[(row * length) + i] - pm[row]) * pr[row];
                db += g;
            }

            Put(dweight, i, dw);
            Put(dbias, i, db);
        }
    }

    private static void Put(GradTarget? target, long i, double value)
    {
        if (target is { } t)
            t.Tensor.Pointer<double>()[i] = (t.Accumulate ? t.Tensor.Pointer<double>()[i] : 0) + value;
    }
}
