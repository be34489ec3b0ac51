namespace DtoKd.Engine;

internal sealed unsafe class KlDivergenceReference : IKlDivergenceKernels
{
    public void Forward(Tensor student, Tensor teacher, Tensor loss, Tensor stats, double temperature)
    {
        int classes = student.Shape[^1];
        double* s = student.Pointer<double>(), t = teacher.Pointer<double>(), kept = stats.Pointer<double>();
        for (long row = 0; row < loss.Count; row++, s += classes, t += classes, kept += KlStats.Count)
        {
            (kept[KlStats.StudentMax], kept[KlStats.StudentLogSum]) = MaxAndLogSum(s, classes, temperature);
            (kept[KlStats.TeacherMax], kept[KlStats.TeacherLogSum]) = MaxAndLogSum(t, classes, temperature);
            double divergence = 0;
            for (int i = 0; i < classes; i++)
            {
                double logQ = LogQ(s[i], kept, temperature), logP = LogP(t[i], kept, temperature), p = Math.Exp(logP);
                divergence += p == 0 ? 0 : p * (logP - logQ);
            }

            kept[KlStats.Divergence] = divergence;
            loss.Pointer<double>()[row] = temperature * temperature * divergence;
        }
    }

    public void Backward(
        Tensor dy, Tensor student, Tensor teacher, Tensor stats, Tensor? dstudent, Tensor? dteacher, double temperature)
    {
        int classes = student.Shape[^1];
        for (long row = 0; row < dy.Count; row++)
        {
            double* kept = stats.Pointer<double>() + (row * KlStats.Count);
            double g = dy.Pointer<double>()[row] * temperature;
            for (long at = row * classes; at < (row + 1) * classes; at++)
            {
                double logQ = LogQ(student.Pointer<double>()[at], kept, temperature);
                double logP = LogP(teacher.Pointer<double>()[at], kept, temperature), p = Math.Exp(logP);
                if (dstudent is not null)
                    dstudent.Pointer<double>()[at] = g * (Math.Exp(logQ) - p);
                if (dteacher is not null)
                    dteacher.Pointer<double>()[at] = p == 0 ? 0 : g * p * (logP - logQ - kept[KlStats.Divergence]);
            }
        }
    }

    private static double LogQ(double s, double* kept, double temperature) =>
        ((s - kept[KlStats.StudentMax]) / temperature) - kept[KlStats.StudentLogSum];

    private static double LogP(double t, double* kept, double temperature) =>
        ((t - kept[KlStats.TeacherMax]) / temperature) - kept[KlStats.TeacherLogSum];

    private static (double Max, double LogSum) MaxAndLogSum(double* x, int classes, double temperature)
    {
        double max = double.NegativeInfinity, sum = 0;
        for (int i = 0; i < classes; i++)
            max = Math.Max(max, x[i]);
        for (int i = 0; i < classes; i++)
            sum += Math.Exp((x[i] - max) / temperature);
        return (max, Math.Log(sum));
    }
}
