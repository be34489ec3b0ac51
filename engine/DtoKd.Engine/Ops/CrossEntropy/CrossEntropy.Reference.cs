namespace DtoKd.Engine;

internal sealed unsafe class CrossEntropyReference : ICrossEntropyKernels
{
    public void Forward(
        Tensor x, Tensor targets, Tensor? weight, Tensor loss, Tensor max, Tensor logSum, CrossEntropyTerms terms)
    {
        double* px = x.Pointer<double>();
        for (long row = 0; row < terms.Rows; row++, px += terms.Classes)
        {
            double m = double.NegativeInfinity, sum = 0, l = 0;
            for (int i = 0; i < terms.Classes; i++)
                m = Math.Max(m, px[i]);
            for (int i = 0; i < terms.Classes; i++)
                sum += Math.Exp(px[i] - m);
            for (int i = 0; i < terms.Classes; i++)
            {
                double q = Q(targets, weight, row, i, terms);
                if (targets.DType.IsFloat() || q != 0)
                    l -= q * (px[i] - m - Math.Log(sum));
            }

            loss.Pointer<double>()[row] = l;
            max.Pointer<double>()[row] = m;
            logSum.Pointer<double>()[row] = Math.Log(sum);
        }
    }

    public void Backward(
        Tensor dy,
        Tensor x,
        Tensor targets,
        Tensor? weight,
        Tensor max,
        Tensor logSum,
        Tensor? dx,
        Tensor? dtargets,
        CrossEntropyTerms terms)
    {
        for (long row = 0; row < terms.Rows; row++)
        {
            double g = dy.Pointer<double>()[row], total = 0;
            for (int i = 0; i < terms.Classes; i++)
                total += Q(targets, weight, row, i, terms);
            for (int i = 0; i < terms.Classes; i++)
            {
                long at = (row * terms.Classes) + i;
                double q = Q(targets, weight, row, i, terms);
                double logP = x.Pointer<double>()[at] - max.Pointer<double>()[row] - logSum.Pointer<double>()[row];
                if (dx is not null)
                    dx.Pointer<double>()[at] = total == 0 ? 0 : g * ((Math.Exp(logP) * total) - q);
                if (dtargets is not null)
                    dtargets.Pointer<double>()[at] = -g * terms.Certain * logP;
            }
        }
    }

    // The target distribution, not normalised.
    private static double Q(Tensor targets, Tensor? weight, long row, int i, CrossEntropyTerms terms)
    {
        if (targets.DType.IsFloat())
            return (terms.Certain * targets.Pointer<double>()[(row * terms.Classes) + i]) + terms.Uniform;
        long label = targets.Pointer<long>()[row];
        if (label == terms.IgnoreIndex)
            return 0;
        double w = weight is null ? 1 : weight.Pointer<double>()[i];
        return w * ((label == i ? terms.Certain : 0) + terms.Uniform);
    }
}
