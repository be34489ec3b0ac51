namespace DtoKd.Training.Tests.Balancing;

/// <summary>K gradients as plain vectors, with the arithmetic the tests check the balancers by.</summary>
internal sealed class Gradients(params double[][] rows)
{
    public int Count => rows.Length;

    public double[] this[int k] => rows[k];

    public double[] Gram()
    {
        var gram = new double[Count * Count];
        for (int i = 0; i < Count; i++)
        {
            for (int j = 0; j < Count; j++)
                gram[i * Count + j] = Dot(rows[i], rows[j]);
        }
        return gram;
    }

    public double[] Mix(ReadOnlySpan<double> weights)
    {
        var mixed = new double[rows[0].Length];
        for (int k = 0; k < Count; k++)
        {
            for (int i = 0; i < mixed.Length; i++)
                mixed[i] += weights[k] * rows[k][i];
        }
        return mixed;
    }

    public double Norm(int k) => Norm(rows[k]);

    public double ShortestNorm() => rows.Min(Norm);

    /// <summary>Σ π_k‖g_k‖: what the rounding of a mixture is relative to.</summary>
    public double Reach(ReadOnlySpan<double> weights)
    {
        double reach = 0;
        for (int k = 0; k < Count; k++)
            reach += weights[k] * Norm(k);
        return reach;
    }

    public Gradients Select(Func<double[], int, double[]> change) => new([.. rows.Select(change)]);

    public Gradients Permuted(int[] order) => new([.. order.Select(k => rows[k])]);

    public Gradients With(double[] another) => new([.. rows, another]);

    public static double Dot(double[] a, double[] b) => a.Zip(b, (x, y) => x * y).Sum();

    public static double Norm(double[] a) => Math.Sqrt(Dot(a, a));

    public static double Distance(double[] a, double[] b) => Norm([.. a.Zip(b, (x, y) => x - y)]);

    public override string ToString() => string.Join(" ; ", rows.Select(r => $"({string.Join(", ", r)})"));
}
