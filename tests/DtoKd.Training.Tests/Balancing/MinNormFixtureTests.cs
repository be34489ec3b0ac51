using DtoKd.Training.Balancing;

namespace DtoKd.Training.Tests.Balancing;

/// <summary>Against solutions in exact rational arithmetic.</summary>
public class MinNormFixtureTests
{
    public static TheoryData<string> Cases() =>
        [.. BalanceFixture.Cases("minnorm").Select(c => $"{c.GetProperty("id")} {c.GetProperty("name")}")];

    [Theory]
    [MemberData(nameof(Cases))]
    public void Finds_the_exact_minimum(string label)
    {
        string id = label.Split(' ')[0];
        var expected = BalanceFixture.Cases("minnorm").Single(c => c.GetProperty("id").GetString() == id);
        var g = new Gradients(BalanceFixture.Rows($"{id}.J"));
        double unit = expected.GetProperty("max_diag").GetDouble();
        double least = expected.GetProperty("min_norm_sq").GetDouble();
        double[] gram = BalanceFixture.Tensor($"{id}.gram");
        var pi = new double[g.Count];

        double square = MinNorm.Solve(gram, pi);

        double[] mixed = g.Mix(pi);
        Assert.Equal(least, Gradients.Dot(mixed, mixed), 1e-10 * unit);
        Assert.Equal(least, square, 1e-10 * unit);
        Assert.All(pi, p => Assert.InRange(p, 0, 1));
        Assert.Equal(1, pi.Sum(), 1e-14);
        Assert.True(MinNorm.KktResidual(gram, pi) <= 1e-12 * unit);
        bool unique = expected.GetProperty("weights_unique").GetBoolean();
        if (!unique || expected.GetProperty("name").GetString() == "near_parallel")
            return;
        double[] exact = BalanceFixture.Tensor($"{id}.weights");
        for (int k = 0; k < pi.Length; k++)
            Assert.Equal(exact[k], pi[k], 1e-6);
    }

    [Fact]
    public void Covers_one_to_eight_objectives() =>
        Assert.Equal(
            Enumerable.Range(1, 8),
            BalanceFixture.Cases("minnorm").Select(c => c.GetProperty("K").GetInt32()).Distinct().Order());

    [Fact]
    public void Two_objective_closed_form_agrees_with_the_table_to_twelve_digits()
    {
        double[][] rows = BalanceFixture.Rows("dto2.table");
        int clamped = 0;
        foreach (double[] row in rows)
        {
            var (g11, g12, g22, unclipped) = (row[0], row[1], row[2], row[3]);
            double[] gram = [g11, g12, g12, g22], pi = new double[2];
            double square = MinNorm.Solve(gram, pi);
            Assert.Equal(row[4], pi[0], 1e-12);
            Assert.Equal(row[5], pi[1], 1e-12);
            Assert.Equal(row[6], pi[0] * g11 + pi[1] * g12, 1e-12 * Math.Abs(row[6]) + 1e-15 * g11);
            Assert.Equal(row[7], pi[0] * g12 + pi[1] * g22, 1e-12 * Math.Abs(row[7]) + 1e-15 * g22);
            Assert.Equal(row[8], Math.Sqrt(square), 1e-12 * row[8] + 1e-15 * Math.Sqrt(Math.Max(g11, g22)));
            clamped += unclipped is < 0 or > 1 ? 1 : 0;
        }
        Assert.InRange(clamped, 5, rows.Length - 5); // both regimes are in the table
    }
}
