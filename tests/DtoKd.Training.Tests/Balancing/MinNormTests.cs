using DtoKd.Tests;
using DtoKd.Training.Balancing;

namespace DtoKd.Training.Tests.Balancing;

public class MinNormTests
{
    private static (double[] Pi, double[] Mixed, double Square) Solve(Gradients g)
    {
        var pi = new double[g.Count];
        double square = MinNorm.Solve(g.Gram(), pi);
        return (pi, g.Mix(pi), square);
    }

    private static void Near(double[] expected, double[] actual, double tolerance = 1e-15)
    {
        Assert.Equal(expected.Length, actual.Length);
        for (int i = 0; i < expected.Length; i++)
            Assert.Equal(expected[i], actual[i], tolerance);
    }

    [Fact]
    public void Orthogonal_gradients_get_weights_inverse_to_their_squared_norms()
    {
        var g = new Gradients([1, 0], [0, 2]);
        var (pi, mixed, square) = Solve(g);
        Near([0.8, 0.2], pi);
        Near([0.8, 0.4], mixed);
        Assert.Equal(0.8, square, 1e-15);
        Assert.Equal(0.8, Gradients.Dot(mixed, g[0]), 1e-15);
        Assert.Equal(0.8, Gradients.Dot(mixed, g[1]), 1e-15);
    }

    [Fact]
    public void Conflicting_gradients_meet_below_the_bound_of_corollary_3_4()
    {
        var g = new Gradients([1, 0], [-1, 1]);
        var (pi, mixed, square) = Solve(g);
        Near([0.6, 0.4], pi);
        Near([0.2, 0.4], mixed);
        Assert.Equal(0.2, Gradients.Dot(mixed, g[0]), 1e-15);
        Assert.Equal(0.2, Gradients.Dot(mixed, g[1]), 1e-15);
        Assert.True(Math.Sqrt(square) < 1 / Math.Sqrt(2)); // the paper claims ‖g*‖ ≥ min‖g_k‖/√2
    }

    [Fact]
    public void Opposite_gradients_cancel()
    {
        var (pi, mixed, square) = Solve(new Gradients([1, 0], [-1, 0]));
        Near([0.5, 0.5], pi);
        Near([0, 0], mixed);
        Assert.Equal(0, square);
    }

    [Fact]
    public void Clamps_when_one_gradient_dominates()
    {
        // Theorem 3.1 as printed gives (1.4, −0.4), which leaves the simplex.
        var g = new Gradients([1, 0], [3, 1]);
        var (pi, mixed, square) = Solve(g);
        Assert.Equal([1.0, 0.0], pi);
        Assert.Equal([1.0, 0.0], mixed);
        Assert.Equal(1, square);
        Assert.Equal(3, Gradients.Dot(mixed, g[1])); // corollary 3.3, equal contributions, fails at a vertex
    }

    [Fact]
    public void Parallel_gradients_do_not_cancel()
    {
        // Unclamped, (2, −1) would give a zero step.
        var (pi, mixed, square) = Solve(new Gradients([1, 0], [2, 0]));
        Assert.Equal([1.0, 0.0], pi);
        Assert.Equal([1.0, 0.0], mixed);
        Assert.Equal(1, square);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    [InlineData(9)]
    public void Equal_gradients_share_evenly(int k)
    {
        var g = new Gradients([.. Enumerable.Repeat(new[] { 0.3, -1.7, 11 }, k)]);
        var (pi, _, square) = Solve(g);
        Near([.. Enumerable.Repeat(1.0 / k, k)], pi);
        Assert.Equal(Gradients.Dot(g[0], g[0]), square, 1e-12);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(5)]
    public void All_zero_gradients_share_evenly(int k)
    {
        var pi = new double[k];
        Assert.Equal(0, MinNorm.Solve(new double[k * k], pi));
        Assert.All(pi, p => Assert.Equal(1.0 / k, p));
    }

    [Theory]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(6)]
    public void A_zero_gradient_takes_all_the_weight(int k)
    {
        var rows = Enumerable.Range(0, k).Select(i => new[] { i + 1.0, 2 - i, 0.5 * i }).ToArray();
        rows[1] = [0, 0, 0];
        var (pi, _, square) = Solve(new Gradients(rows));
        Assert.Equal(0, square);
        Assert.Equal(1, pi[1]);
    }

    [Fact]
    public void Three_orthogonal_gradients_use_the_inside_of_the_triangle()
    {
        // π_k ∝ 1/‖g_k‖²: 1, 1/4, 1/16, i.e. 16/21, 4/21, 1/21.
        var (pi, _, square) = Solve(new Gradients([1, 0, 0], [0, 2, 0], [0, 0, 4]));
        Near([16 / 21.0, 4 / 21.0, 1 / 21.0], pi);
        Assert.Equal(16 / 21.0, square, 1e-15);
    }

    [Fact]
    public void Three_gradients_use_an_edge_when_the_third_points_the_same_way()
    {
        var (pi, mixed, _) = Solve(new Gradients([1, 0], [5, 5], [0, 2]));
        Near([0.8, 0, 0.2], pi);
        Near([0.8, 0.4], mixed);
    }

    [Fact]
    public void A_gradient_ten_thousand_million_times_longer_keeps_the_digits_of_its_tiny_weight()
    {
        // Orthogonal gradients: π_k ∝ 1/‖g_k‖², and every ⟨g*, g_k⟩ equals ‖g*‖². Losing the tiny weight would not show in ‖g*‖,
        // but the longest gradient would then not be improved at all.
        var random = new Random(11);
        for (int trial = 0; trial < 200; trial++)
        {
            int k = 2 + trial % 4;
            double[] norms = [.. Enumerable.Range(0, k).Select(i => (1 + random.NextDouble()) * (i == 1 ? 1e5 : 1e-5))];
            var g = new Gradients([.. norms.Select((norm, i) =>
                Enumerable.Range(0, k).Select(j => i == j ? norm : 0.0).ToArray())]);
            var (pi, _, square) = Solve(g);
            double total = norms.Sum(norm => 1 / (norm * norm));
            for (int i = 0; i < k; i++)
                Assert.Equal(1, pi[i] * norms[i] * norms[i] * total, 1e-12);
            Assert.Equal(1, square * total, 1e-12);
        }
    }

    [Fact]
    public void Squares_near_the_ends_of_double_neither_overflow_nor_vanish()
    {
        foreach (double unit in new[] { 1e-160, 1e-150, 1e150 })
        {
            var (pi, _, square) = Solve(new Gradients([unit, 0], [0, 2 * unit]));
            Near([0.8, 0.2], pi, 1e-3); // at 1e-160 the squares are denormal and hold four digits
            Assert.Equal(0.8, square / (unit * unit), 1e-3);
        }
    }

    [Fact]
    public void Sixty_four_objectives_are_solved()
    {
        var random = new Random(7);
        var g = new Gradients([.. Enumerable.Range(0, 64).Select(_ =>
            Enumerable.Range(0, 100).Select(_ => random.NextDouble() - 0.45).ToArray())]);
        var (pi, mixed, square) = Solve(g);
        Assert.Equal(1, pi.Sum(), 1e-13);
        Assert.All(Enumerable.Range(0, 64), k => Assert.True(Gradients.Dot(mixed, g[k]) >= square - 1e-11));
        Assert.InRange(pi.Count(p => p > 0), 10, 64);
    }

    [Fact]
    public void Up_to_sixteen_objectives_allocate_nothing()
    {
        var random = new Random(3);
        for (int k = 1; k <= MinNorm.StackObjectives; k++)
        {
            double[] gram = new Gradients([.. Enumerable.Range(0, k).Select(_ =>
                Enumerable.Range(0, 20).Select(_ => random.NextDouble() - 0.5).ToArray())]).Gram();
            var pi = new double[k];
            MinNorm.Solve(gram, pi);
            Assert.Equal(0, Allocation.Of(() => MinNorm.Solve(gram, pi)));
        }
    }

    [Fact]
    public void Frank_Wolfe_alone_comes_to_the_same_mixture()
    {
        var g = new Gradients([1, 0, 0.2], [-1, 1, 0], [0.3, -0.2, 1], [2, 2, 2]);
        var (_, expected, _) = Solve(g);
        double[] pi = [0.25, 0.25, 0.25, 0.25];
        MinNorm.FrankWolfe(g.Gram(), pi, 20000);
        Assert.Equal(0, Gradients.Distance(expected, g.Mix(pi)), 1e-3);
    }

    [Fact]
    public void Residual_is_zero_at_the_optimum_and_bounds_the_excess_elsewhere()
    {
        var gram = new Gradients([1, 0], [-1, 1]).Gram();
        Assert.Equal(0, MinNorm.KktResidual(gram, [0.6, 0.4]), 1e-15);
        // At (1, 0): v = 1, ⟨g, g2⟩ = −1, residual 2; the optimum is 0.2.
        Assert.Equal(2, MinNorm.KktResidual(gram, [1, 0]), 1e-15);
        Assert.Equal(1, MinNorm.SquaredNorm(gram, [1, 0]));
    }

    [Theory]
    [InlineData(double.NaN)]
    [InlineData(double.PositiveInfinity)]
    [InlineData(double.NegativeInfinity)]
    public void Names_the_entry_that_is_not_finite(double bad)
    {
        var error = Assert.Throws<ArgumentException>(() => MinNorm.Solve([1, bad, bad, 1], new double[2]));
        Assert.Contains($"(0, 1) is {bad}", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Refuses_what_is_not_a_Gram_matrix()
    {
        Assert.Throws<ArgumentException>(() => MinNorm.Solve([1, 0, 0, -1], new double[2]));
        Assert.Throws<ArgumentException>(() => MinNorm.Solve([1, 0, 0], new double[2]));
        Assert.Throws<ArgumentException>(() => MinNorm.Solve([], []));
    }
}
