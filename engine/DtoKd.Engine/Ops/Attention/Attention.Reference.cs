namespace DtoKd.Engine;

internal sealed unsafe class AttentionReference : IAttentionKernels
{
    public void Forward(AttentionInputs x, Tensor y, Tensor rows)
    {
        MatrixStack<double> v = new(x.V), result = new(y), saved = new(rows);
        int nq = x.Scores[^2], nk = x.Scores[^1], dv = x.V.Shape[^1];
        var p = new double[nk];
        for (long item = 0; item < x.Items; item++)
        {
            for (int i = 0; i < nq; i++)
            {
                Scores(x, item, i, p);
                double max = double.NegativeInfinity, sum = 0;
                foreach (double score in p)
                    max = Math.Max(max, score);
                foreach (double score in p)
                    sum += Math.Exp(score - max);
                bool nothing = double.IsNegativeInfinity(max);
                double* row = saved.Row(item, i);
                row[0] = nothing ? 0 : max;
                row[1] = nothing ? 0 : 1 / sum;
                Probabilities(p, row);
                for (int c = 0; c < dv; c++)
                {
                    double value = 0;
                    for (int j = 0; j < nk; j++)
                        value += p[j] * v.Row(item, j)[c * v.ColumnStride];
                    result.Row(item, i)[c * result.ColumnStride] = value;
                }
            }
        }
    }

    public void Backward(
        AttentionInputs x, Tensor? y, Tensor rows, Tensor dy, GradTarget? dq, GradTarget? dk, GradTarget? dv, BiasSums? dBias)
    {
        MatrixStack<double> q = new(x.Q), k = new(x.K), v = new(x.V), saved = new(rows), gradient = new(dy);
        int nq = x.Scores[^2], nk = x.Scores[^1], d = x.Q.Shape[^1], width = x.V.Shape[^1];
        foreach (var target in new[] { dq, dk, dv })
        {
            if (target is { Accumulate: false } fresh)
                Clear(fresh.Tensor);
        }

        dBias?.Sums.Clear();
        double[] p = new double[nk], ds = new double[nk];
        for (long item = 0; item < x.Items; item++)
        {
            for (int i = 0; i < nq; i++)
            {
                Scores(x, item, i, p);
                Probabilities(p, saved.Row(item, i));
                double mean = 0;
                for (int j = 0; j < nk; j++)
                {
                    double dp = 0;
                    for (int c = 0; c < width; c++)
                    {
                        double g = gradient.Row(item, i)[c * gradient.ColumnStride];
                        dp += g * v.Row(item, j)[c * v.ColumnStride];
                        Add(dv, item, j, c, p[j] * g);
                    }

                    ds[j] = dp;
                    mean += p[j] * dp;
                }

                for (int j = 0; j < nk; j++)
                {
                    ds[j] = p[j] * (ds[j] - mean);
                    for (int c = 0; c < d; c++)
                    {
                        Add(dq, item, i, c, x.Scale * ds[j] * k.Row(item, j)[c * k.ColumnStride]);
                        Add(dk, item, j, c, x.Scale * ds[j] * q.Row(item, i)[c * q.ColumnStride]);
                    }
                }

                if (dBias is not null)
                {
                    long groups = dBias.Sums.Shape[1], repeat = item / groups;
                    double* sum = dBias.Sums.Pointer<double>()
                        + (((((repeat / dBias.PerPiece * groups) + (item % groups)) * nq) + i) * nk);
                    for (int j = 0; j < nk; j++)
                        sum[j] += ds[j];
                }
            }
        }
    }

    private static void Scores(AttentionInputs x, long item, int i, double[] scores)
    {
        MatrixStack<double> q = new(x.Q), k = new(x.K);
        for (int j = 0; j < scores.Length; j++)
        {
            double dot = 0;
            for (int c = 0; c < x.Q.Shape[^1]; c++)
                dot += q.Row(item, i)[c * q.ColumnStride] * k.Row(item, j)[c * k.ColumnStride];
            scores[j] = x.Scale * dot;
            if (x.Bias is not null)
                scores[j] += At<double>(x.Bias, item, i, j);
            if (x.Mask is not null && !At<bool>(x.Mask, item, i, j))
                scores[j] = double.NegativeInfinity;
        }
    }

    private static void Probabilities(double[] scores, double* saved)
    {
        for (int j = 0; j < scores.Length; j++)
            scores[j] = Math.Exp(scores[j] - saved[0]) * saved[1];
    }

    private static T At<T>(Tensor x, long item, int row, int column)
        where T : unmanaged
    {
        var stack = new MatrixStack<T>(x);
        return stack.Row(item, row)[column * stack.ColumnStride];
    }

    private static void Add(GradTarget? target, long item, int row, int column, double value)
    {
        if (target is not { } some)
            return;
        var stack = new MatrixStack<double>(some.Tensor);
        stack.Row(item, row)[column * stack.ColumnStride] += value;
    }

    private static void Clear(Tensor x)
    {
        var index = new StridedIndex(x.Shape, x.Strides);
        for (long i = 0; i < x.Count; i++, index.Next())
            x.Pointer<double>()[index.Offset] = 0;
    }
}
