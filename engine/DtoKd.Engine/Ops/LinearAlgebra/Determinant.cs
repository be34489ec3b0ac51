namespace DtoKd.Engine;

public static unsafe partial class Op
{
    /// <summary>The determinant, by elimination with partial pivoting, in double precision for either type; 0 for a singular
    /// matrix.</summary>
    /// <param name="a">Small square matrices [..., n, n].</param>
    /// <returns>[...].</returns>
    /// <exception cref="ArgumentException">No square matrices.</exception>
    public static Tensor Determinant(Tensor a)
    {
        const string op = "determinant";
        var step = Step.Of(op, a);
        int n = RequireSquare(op, a);
        using var work = Widen(step, a);
        using var result = step.New(BatchOf(a.Shape), work.DType, op);
        if (!a.Device.IsHost)
            Gpu.LinearAlgebraGpu.Determinant(work, result);
        for (long i = 0; a.Device.IsHost && i < result.Count; i++)
            result.Pointer<double>()[i] = SmallMatrices.Eliminate(work.Pointer<double>() + (i * n * n), n, null, 0, out _);
        var y = Narrow(step, result, a.DType, op);
        if (step.Tracks(a))
            step.Record(y, new DeterminantNode(a), a);
        return y;
    }

    /// <summary>
    /// da = dy C with the cofactors C = det(a) a^-T (Giles: "Collected matrix derivative results", 2008, section 2.2.4). The
    /// cofactors of a singular matrix are computed one by one.
    /// </summary>
    private sealed class DeterminantNode : Node
    {
        private readonly Tensor _a;

        public DeterminantNode(Tensor a) => _a = Save(a);

        public override string Name => "determinant";

        public override void Backward(Tensor dy, Gradients into)
        {
            var step = into.Step;
            Tensor a = Widen(step, _a), cofactors = step.New(_a.Shape, a.DType, Name);
            if (a.Device.IsHost)
                Cofactors(step, a, cofactors);
            else
                Gpu.LinearAlgebraGpu.Cofactors(step, a, cofactors);
            int rank = dy.Shape.Rank;
            var da = Mul(Reshape(Widen(step, dy), dy.Shape.Insert(rank, 1).Insert(rank + 1, 1)), cofactors);
            into.Give(0, Narrow(step, da, dy.DType, Name));
        }

        private void Cofactors(Step step, Tensor a, Tensor cofactors)
        {
            int n = a.Shape[^1];
            var work = step.New([2, n, n], DType.F64, Name);
            double* room = work.Pointer<double>(), inverse = room + (n * n);
            for (long i = 0; i < Matrices(a.Shape); i++)
            {
                double* from = a.Pointer<double>() + (i * n * n), to = cofactors.Pointer<double>() + (i * n * n);
                new Span<double>(from, n * n).CopyTo(new Span<double>(room, n * n));
                SmallMatrices.Identity(inverse, n);
                double determinant = SmallMatrices.Eliminate(room, n, inverse, n, out int singular);
                if (singular >= 0)
                {
                    SmallMatrices.Cofactors(from, to, room, n);
                    continue;
                }

                for (int row = 0; row < n; row++)
                {
                    for (int column = 0; column < n; column++)
                        to[(row * n) + column] = determinant * inverse[(column * n) + row];
                }
            }
        }
    }
}
