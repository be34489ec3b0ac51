namespace DtoKd.Engine;

internal sealed unsafe class BatchNormReference : IBatchNormKernels
{
    public void Statistics(Tensor x, Tensor mean, Tensor variance, BatchNormExtent extent)
    {
        double* px = x.Pointer<double>();
        for (long c = 0; c < extent.Channels; c++)
        {
            double sum = 0, squares = 0;
            for (long k = 0; k < extent.PerChannel; k++)
                sum += px[At(extent, c, k)];
            double m = sum / extent.PerChannel;
            for (long k = 0; k < extent.PerChannel; k++)
                squares += Math.Pow(px[At(extent, c, k)] - m, 2);
            mean.Pointer<double>()[c] = m;
            variance.Pointer<double>()[c] = squares / extent.PerChannel;
        }
    }

    public void Normalise(
        Tensor x, Tensor? weight, Tensor? bias, Tensor mean, Tensor variance, Tensor y, BatchNormExtent extent, double eps)
    {
        for (long c = 0; c < extent.Channels; c++)
        {
            double m = mean.Pointer<double>()[c], rstd = 1 / Math.Sqrt(variance.Pointer<double>()[c] + eps);
            double w = weight is null ? 1 : weight.Pointer<double>()[c], b = bias is null ? 0 : bias.Pointer<double>()[c];
            for (long k = 0; k < extent.PerChannel; k++)
            {
                long at = At(extent, c, k);
                y.Pointer<double>()[at] = ((x.Pointer<double>()[at] - m) * rstd * w) + b;
            }
        }
    }

    public void Backward(
        Tensor dy,
        Tensor x,
        Tensor? weight,
        Tensor mean,
        Tensor variance,
        GradTarget? dx,
        GradTarget? dweight,
        GradTarget? dbias,
        BatchNormExtent extent,
        double eps,
        bool batch)
    {
        double* pdy = dy.Pointer<double>(), px = x.Pointer<double>();
        for (long c = 0; c < extent.Channels; c++)
        {
            double m = mean.Pointer<double>()[c], rstd = 1 / Math.Sqrt(variance.Pointer<double>()[c] + eps);
            double w = weight is null ? 1 : weight.Pointer<double>()[c], sum = 0, product = 0;
            for (long k = 0; k < extent.PerChannel; k++)
            {
                long at = At(extent, c, k);
                sum += pdy[at];
                product += pdy[at] * (px[at] - m) * rstd;
            }

            for (long k = 0; dx is not null && k < extent.PerChannel; k++)
            {
                long at = At(extent, c, k);
                double h = (px[at] - m) * rstd;
                double centred = batch ? pdy[at] - ((sum + (h * product)) / extent.PerChannel) : pdy[at];
                Put(dx, at, rstd * w * centred);
            }

            Put(dweight, c, product);
            Put(dbias, c, sum);
        }
    }

    // Where the k-th value of a channel is.
    private static long At(BatchNormExtent extent, long channel, long k) =>
        (((k / extent.Plane * extent.Channels) + channel) * extent.Plane) + (k % extent.Plane);

    private static void Put(GradTarget? target, long i, double value)
    {
        if (target is { } t)
            t.Tensor.Pointer<double>()[i] = (t.Accumulate ? t.Tensor.Pointer<double>()[i] : 0) + value;
    }
}
