namespace DtoKd.Engine;

internal sealed unsafe class SqueezeExciteReference : ISqueezeExciteKernels
{
    public void Forward(SqueezeExciteInputs inputs, Tensor bias1, Tensor bias2, Tensor y)
    {
        int channels = inputs.Channels, squeezed = inputs.Squeezed;
        double* w1 = inputs.Weight1.Pointer<double>(), w2 = inputs.Weight2.Pointer<double>();
        for (int n = 0; n < inputs.Images; n++)
        {
            double* x = inputs.X.Pointer<double>() + (n * channels * inputs.Plane), result = y.Pointer<double>() + (n * channels * inputs.Plane);
            double* mean = inputs.Mean.Pointer<double>() + (n * channels), hidden = inputs.Hidden.Pointer<double>() + (n * squeezed);
            for (int c = 0; c < channels; c++)
            {
                mean[c] = 0;
                for (long i = c * inputs.Plane; i < (c + 1) * inputs.Plane; i++)
                    mean[c] += x[i] / inputs.Plane;
            }

            for (int s = 0; s < squeezed; s++)
            {
                hidden[s] = bias1.Pointer<double>()[s];
                for (int c = 0; c < channels; c++)
                    hidden[s] += w1[(s * channels) + c] * mean[c];
                hidden[s] = Math.Max(0, hidden[s]);
            }

            for (int c = 0; c < channels; c++)
            {
                double sum = bias2.Pointer<double>()[c];
                for (int s = 0; s < squeezed; s++)
                    sum += w2[(c * squeezed) + s] * hidden[s];
                double gate = inputs.Gate.Pointer<double>()[(n * channels) + c] = 1 / (1 + Math.Exp(-sum));
                for (long i = c * inputs.Plane; i < (c + 1) * inputs.Plane; i++)
                    result[i] = x[i] * gate;
            }
        }
    }

    public void InputGradient(SqueezeExciteInputs inputs, Tensor dy, Tensor excited, Tensor squeezed, GradTarget? dx)
    {
        int channels = inputs.Channels, count = inputs.Squeezed;
        double* w1 = inputs.Weight1.Pointer<double>(), w2 = inputs.Weight2.Pointer<double>();
        for (int n = 0; n < inputs.Images; n++)
        {
            long at = n * channels * inputs.Plane;
            double* x = inputs.X.Pointer<double>() + at, d = dy.Pointer<double>() + at;
            double* gate = inputs.Gate.Pointer<double>() + (n * channels), hidden = inputs.Hidden.Pointer<double>() + (n * count);
            double* e = excited.Pointer<double>() + (n * channels), h = squeezed.Pointer<double>() + (n * count);
            for (int c = 0; c < channels; c++)
            {
                double sum = 0;
                for (long i = c * inputs.Plane; i < (c + 1) * inputs.Plane; i++)
                    sum += d[i] * x[i];
                e[c] = sum * gate[c] * (1 - gate[c]);
            }

            for (int s = 0; s < count; s++)
            {
                h[s] = 0;
                for (int c = 0; c < channels && hidden[s] > 0; c++)
                    h[s] += w2[(c * count) + s] * e[c];
            }

            for (int c = 0; c < channels && dx is not null; c++)
            {
                double mean = 0;
                for (int s = 0; s < count; s++)
                    mean += w1[(s * channels) + c] * h[s];
                double* to = dx.Value.Tensor.Pointer<double>() + at;
                for (long i = c * inputs.Plane; i < (c + 1) * inputs.Plane; i++)
                    to[i] = (dx.Value.Accumulate ? to[i] : 0) + (d[i] * gate[c]) + (mean / inputs.Plane);
            }
        }
    }

    public void LayerGradient(Tensor results, Tensor inputs, GradTarget? weight, GradTarget? bias)
    {
        int images = results.Shape[0], outputs = results.Shape[1], length = inputs.Shape[1];
        double* d = results.Pointer<double>(), x = inputs.Pointer<double>();
        for (int o = 0; o < outputs; o++)
        {
            for (int i = 0; i < length && weight is not null; i++)
            {
                double sum = 0;
                for (int n = 0; n < images; n++)
                    sum += d[(n * outputs) + o] * x[(n * length) + i];
                Put(weight.Value, (o * length) + i, sum);
            }

            double total = 0;
            for (int n = 0; n < images; n++)
                total += d[(n * outputs) + o];
            if (bias is not null)
                Put(bias.Value, o, total);
        }
    }

    private static void Put(GradTarget target, int index, double value)
    {
        double* to = target.Tensor.Pointer<double>() + index;
        *to = target.Accumulate ? *to + value : value;
    }
}
