namespace DtoKd.Engine;

internal sealed unsafe class BatchNormReference : IBatchNormKernels
{
    public void Forward(BatchNormInputs norm, Tensor? residual, Tensor y)
    {
        var extent = norm.Extent;
        double* x = norm.X.Pointer<double>();
        for (long c = 0; c < extent.Channels; c++)
        {
            if (norm.Batch)
                Statistics(norm, c);
            for (long k = 0; k < extent.PerChannel; k++)
            {
                long at = At(extent, c, k);
                double z = Normalised(norm, c, x[at]);
                if (residual is not null)
                    z += residual.Pointer<double>()[at];
                y.Pointer<double>()[at] = norm.Relu && z < 0 ? 0 : z;
            }
        }
    }

    public void Backward(
        BatchNormInputs norm, Tensor dy, Tensor? y, Tensor dz, GradTarget? dx, GradTarget? dweight, GradTarget? dbias)
    {
        var extent = norm.Extent;
        double* pdy = dy.Pointer<double>(), x = norm.X.Pointer<double>();
        for (long c = 0; c < extent.Channels; c++)
        {
            double m = norm.Mean.Pointer<double>()[c], rstd = Rstd(norm, c);
            double w = norm.Weight is null ? 1 : norm.Weight.Pointer<double>()[c], sum = 0, product = 0;
            for (long k = 0; k < extent.PerChannel; k++)
            {
                long at = At(extent, c, k);
                double d = Gated(at);
                if (y is not null)
                    dz.Pointer<double>()[at] = d;
                sum += d;
                product += d * (x[at] - m) * rstd;
            }

            for (long k = 0; dx is not null && k < extent.PerChannel; k++)
            {
                long at = At(extent, c, k);
                double d = Gated(at), h = (x[at] - m) * rstd;
                double centred = norm.Batch ? d - ((sum + (h * product)) / extent.PerChannel) : d;
                Put(dx, at, rstd * w * centred);
            }

            Put(dweight, c, product);
            Put(dbias, c, sum);

            // The gradient behind the ReLU.
            double Gated(long at)
            {
                double result = y is not null ? y.Pointer<double>()[at] : Normalised(norm, c, x[at]);
                return norm.Relu && result <= 0 ? 0 : pdy[at];
            }
        }
    }

    private static void Statistics(BatchNormInputs norm, long c)
    {
        double* x = norm.X.Pointer<double>();
        double sum = 0, squares = 0;
        for (long k = 0; k < norm.Extent.PerChannel; k++)
            sum += x[At(norm.Extent, c, k)];
        double mean = sum / norm.Extent.PerChannel;
        for (long k = 0; k < norm.Extent.PerChannel; k++)
            squares += Math.Pow(x[At(norm.Extent, c, k)] - mean, 2);
        norm.Mean.Pointer<double>()[c] = mean;
        norm.Variance.Pointer<double>()[c] = squares / norm.Extent.PerChannel;
    }

    private static double Rstd(BatchNormInputs norm, long c) => 1 / Math.Sqrt(norm.Variance.Pointer<double>()[c] + norm.Eps);

    private static double Normalised(BatchNormInputs norm, long c, double x)
    {
        double w = norm.Weight is null ? 1 : norm.Weight.Pointer<double>()[c], b = norm.Bias is null ? 0 : norm.Bias.Pointer<double>()[c];
        return ((x - norm.Mean.Pointer<double>()[c]) * Rstd(norm, c) * w) + b;
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
