using DtoKd.Training.Balancing;
using FsCheck;
using FsCheck.Fluent;

namespace DtoKd.Training.Tests.Balancing;

/// <summary>
/// The mathematics of the shortest mixture as properties over random, conflicting, collinear, equal, zero, dependent and hugely
/// unequal gradients. Each property counts the cases in which it had something to say and fails when they were too few.
/// </summary>
public class MinNormProperties(ITestOutputHelper output)
{
    private const int Cases = 1000;

    public enum Kind
    {
        Generic,
        Conflicting,
        Collinear,
        Equal,
        Zero,
        Unequal,
        Dependent,
    }

    private sealed record Draw(Kind Kind, Gradients G)
    {
        public override string ToString() => $"{Kind}: {G}";
    }

    private static Gen<double[]> Vector(int d) => Gen.Choose(-1000, 1000).Select(i => i / 64.0).ArrayOf(d);

    private static Gen<Gradients> Rows(int k, int d) => Vector(d).ArrayOf(k).Select(rows => new Gradients(rows));

    private static Gen<Gradients> OfKind(Kind kind, int k, int d) => kind switch
    {
        // Every gradient but the first points away from it.
        Kind.Conflicting => Rows(k, d).Select(g => g.Select((row, i) =>
            i > 0 && Gradients.Dot(row, g[0]) > 0 ? [.. row.Select(x => -x)] : row)),
        Kind.Collinear => Vector(d).SelectMany(v => Gen.Choose(-8, 8).ArrayOf(k).Select(f =>
            new Gradients([.. f.Select(c => v.Select(x => c * x).ToArray())]))),
        Kind.Equal => Vector(d).Select(v => new Gradients([.. Enumerable.Repeat(v, k)])),
        Kind.Zero => Rows(k, d).SelectMany(g => Gen.Choose(0, k - 1).Select(at =>
            g.Select((row, i) => i == at ? new double[d] : row))),
        Kind.Unequal => Rows(k, d).SelectMany(g => Gen.Choose(-10, 10).ArrayOf(k).Select(e =>
            g.Select((row, i) => [.. row.Select(x => x * Math.Pow(10, e[i]))]))),
        // The last one is a mixture of the first two, so the Gram matrix is singular however long the vectors are.
        Kind.Dependent when k > 1 => Rows(k, d).Select(g => g.Select((row, i) =>
            i == k - 1 ? [.. g[0].Zip(g[1], (x, y) => 0.25 * x + 0.75 * y)] : row)),
        _ => Rows(k, d),
    };

    private static Gen<Draw> Draws(int least, int most) =>
        from kind in Gen.Elements(Enum.GetValues<Kind>())
        from k in Gen.Choose(least, most)
        from d in Gen.Choose(1, 12)
        from g in OfKind(kind, k, d)
        select new Draw(kind, g);

    /// <summary>
    /// Runs a property that returns whether its precondition held, prints how often, and asks for at least a share of it.
    /// </summary>
    private void Check(Gen<Draw> draws, double leastShare, Func<Draw, bool> property)
    {
        var met = Enum.GetValues<Kind>().ToDictionary(kind => kind, _ => (Met: 0, Of: 0));
        Prop.ForAll(draws.ToArbitrary(), draw =>
        {
            bool held = property(draw);
            met[draw.Kind] = (met[draw.Kind].Met + (held ? 1 : 0), met[draw.Kind].Of + 1);
            return true;
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(Cases).WithQuietOnSuccess(true));
        int total = met.Values.Sum(m => m.Met);
        string byKind = string.Join(", ", met.Select(m => $"{m.Key} {m.Value.Met}/{m.Value.Of}"));
        output.WriteLine($"precondition met in {total} of {Cases}: {byKind}");
        Assert.All(met.Values, m => Assert.True(m.Of > 0));
        Assert.True(total >= leastShare * Cases, $"the precondition held in only {total} of {Cases} cases");
    }

    private static double[] Solve(Gradients g)
    {
        var pi = new double[g.Count];
        MinNorm.Solve(g.Gram(), pi);
        return pi;
    }

    private static void SameMixture(Gradients g, double[] pi, Gradients other, double[] otherPi)
    {
        // ‖g − g*‖² ≤ ‖g‖² − ‖g*‖² over the hull, so rounding of the square shows in g as its root.
        double reach = Math.Max(g.Reach(pi), other.Reach(otherPi));
        Assert.True(
            Gradients.Distance(g.Mix(pi), other.Mix(otherPi)) <= 1e-6 * reach,
            $"[{string.Join(", ", pi)}] and [{string.Join(", ", otherPi)}] mix to different gradients");
    }

    [Fact]
    public void Weights_lie_on_the_simplex() => Check(Draws(1, 8), 1, draw =>
    {
        double[] pi = Solve(draw.G);
        Assert.All(pi, p => Assert.InRange(p, 0, 1));
        Assert.Equal(1, pi.Sum(), 1e-14);
        return true;
    });

    [Fact]
    public void No_objective_is_improved_less_than_the_squared_norm() => Check(Draws(2, 8), 1, draw =>
    {
        double[] pi = Solve(draw.G), mixed = draw.G.Mix(pi);
        double square = Gradients.Dot(mixed, mixed), reach = draw.G.Reach(pi);
        for (int k = 0; k < pi.Length; k++)
        {
            double along = Gradients.Dot(mixed, draw.G[k]);
            Assert.True(along >= square - 1e-12 * reach * (reach + draw.G.Norm(k)), $"⟨g*, g{k}⟩ = {along} < {square}");
            Assert.True(pi[k] * (along - square) <= 1e-11 * reach * reach); // equal where there is weight
        }
        return true;
    });

    [Fact]
    public void Mixture_is_no_longer_than_the_shortest_gradient_and_than_any_pair() => Check(Draws(2, 8), 0.3, draw =>
    {
        double[] pi = Solve(draw.G);
        double reach = draw.G.Reach(pi), norm = Gradients.Norm(draw.G.Mix(pi));
        Assert.True(norm <= draw.G.ShortestNorm() + 1e-7 * reach);
        for (int i = 1; i < draw.G.Count; i++)
        {
            var pair = new Gradients(draw.G[i - 1], draw.G[i]);
            double[] two = Solve(pair);
            Assert.True(norm <= Gradients.Norm(pair.Mix(two)) + 1e-7 * Math.Max(reach, pair.Reach(two)));
        }
        return draw.G.Count > 2 && norm < draw.G.ShortestNorm() * 0.999;
    });

    [Fact]
    public void Two_gradients_mix_to_a_norm_between_the_half_angle_bound_and_the_shorter() => Check(Draws(2, 2), 0.5, draw =>
    {
        double[] pi = Solve(draw.G);
        double norm = Gradients.Norm(draw.G.Mix(pi)), m = draw.G.ShortestNorm();
        Assert.True(norm <= m * (1 + 1e-12));
        if (m == 0)
            return false;
        double cosine = Gradients.Dot(draw.G[0], draw.G[1]) / (draw.G.Norm(0) * draw.G.Norm(1));
        Assert.True(norm >= m * Math.Sqrt(Math.Max(0, (1 + cosine) / 2)) - 1e-7 * m);
        return true;
    });

    [Fact]
    public void Two_gradients_inside_contribute_equally() => Check(Draws(2, 2), 0.3, draw =>
    {
        // Corollary 3.3 with the precondition it needs: ⟨g1, g2⟩ < min(‖g1‖², ‖g2‖²).
        double a = Gradients.Dot(draw.G[0], draw.G[0]), b = Gradients.Dot(draw.G[1], draw.G[1]);
        double c = Gradients.Dot(draw.G[0], draw.G[1]);
        if (!(c < Math.Min(a, b)))
            return false;
        double[] pi = Solve(draw.G), mixed = draw.G.Mix(pi);
        Assert.All(pi, p => Assert.InRange(p, double.Epsilon, 1));
        double slack = 1e-11 * draw.G.Reach(pi);
        Assert.Equal(Gradients.Dot(mixed, mixed), Gradients.Dot(mixed, draw.G[0]), slack * draw.G.Norm(0));
        Assert.Equal(Gradients.Dot(mixed, mixed), Gradients.Dot(mixed, draw.G[1]), slack * draw.G.Norm(1));
        if (a > b)
            Assert.True(pi[0] <= pi[1]); // the longer gradient gets the smaller weight
        return true;
    });

    [Fact]
    public void Closed_forms_for_two_and_three_agree_with_the_general_solver() => Check(Draws(2, 3), 0.2, draw =>
    {
        double[] pi = Solve(draw.G), general = new double[draw.G.Count], gram = draw.G.Gram();
        double unit = gram.Max();
        if (unit > 0)
            MinNorm.SolveActiveSet([.. gram.Select(x => x / unit)], general);
        else
            return false;
        SameMixture(draw.G, pi, draw.G, general);
        if (!Independent(draw.G))
            return false;
        for (int k = 0; k < pi.Length; k++)
            Assert.Equal(pi[k], general[k], 1e-9);
        return true;
    });

    [Fact]
    public void A_common_power_of_two_changes_no_bit_and_any_common_factor_changes_nothing() => Check(Draws(2, 8), 0.2, draw =>
    {
        double[] pi = Solve(draw.G);
        Assert.Equal(pi, Solve(draw.G.Select((row, _) => [.. row.Select(x => x * (1.0 / 1048576))])));
        var scaled = draw.G.Select((row, _) => [.. row.Select(x => x * 1234.567)]);
        double[] again = Solve(scaled);
        SameMixture(draw.G, pi, draw.G, again);
        if (!Independent(draw.G))
            return false;
        for (int k = 0; k < pi.Length; k++)
            Assert.Equal(pi[k], again[k], 1e-9);
        return true;
    });

    [Fact]
    public void Permuting_the_gradients_permutes_the_weights()
    {
        var draws = from draw in Draws(2, 8)
                    from order in Gen.Shuffle(Enumerable.Range(0, draw.G.Count))
                    select (draw, order);
        int met = 0;
        Prop.ForAll(draws.ToArbitrary(), both =>
        {
            var (draw, order) = both;
            double[] pi = Solve(draw.G), permuted = Solve(draw.G.Permuted(order));
            SameMixture(draw.G, pi, draw.G.Permuted(order), permuted);
            if (!Independent(draw.G))
                return;
            met++;
            for (int k = 0; k < order.Length; k++)
                Assert.Equal(pi[order[k]], permuted[k], draw.G.Count == 2 ? 0 : 1e-9);
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(Cases).WithQuietOnSuccess(true));
        output.WriteLine($"weights unique in {met} of {Cases}");
        Assert.True(met >= 0.2 * Cases);
    }

    [Fact]
    public void A_gradient_inside_the_hull_of_the_others_changes_nothing() => Check(Draws(2, 7), 0.3, draw =>
    {
        double[] pi = Solve(draw.G);
        var more = draw.G.With(draw.G.Mix([.. Enumerable.Repeat(1.0 / draw.G.Count, draw.G.Count)]));
        double[] again = Solve(more);
        SameMixture(draw.G, pi, more, again);
        return Gradients.Norm(draw.G.Mix(pi)) > 1e-9 * draw.G.ShortestNorm();
    });

    /// <summary>Directions far from dependent: the Gram matrix of the unit vectors has no small pivot.</summary>
    private static bool Independent(Gradients g)
    {
        if (g.ShortestNorm() == 0)
            return false;
        double[] c = g.Select((row, k) => [.. row.Select(x => x / g.Norm(k))]).Gram();
        int n = g.Count;
        for (int p = 0; p < n; p++)
        {
            if (c[p * n + p] < 1e-3)
                return false;
            for (int i = p + 1; i < n; i++)
            {
                double factor = c[i * n + p] / c[p * n + p];
                for (int j = p; j < n; j++)
                    c[i * n + j] -= factor * c[p * n + j];
            }
        }
        return true;
    }
}
