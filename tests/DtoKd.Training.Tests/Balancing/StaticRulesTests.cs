using System.Text.Json;
using DtoKd.Training.Balancing;

namespace DtoKd.Training.Tests.Balancing;

/// <summary>The golden values of the rules without a history: CAGrad, PCGrad, IMTL-G and Nash-MTL on given gradients.</summary>
[Trait("Category", "Fixtures")]
public class StaticRulesTests(ITestOutputHelper output)
{
    [Fact]
    public void Every_static_case_gives_its_recorded_direction()
    {
        var ran = new Dictionary<string, int>();
        var failed = new List<string>();
        foreach (var c in BalanceFixture.Cases("static"))
        {
            string id = c.GetProperty("id").GetString()!;
            var g = new Gradients(BalanceFixture.Rows($"{id}.J"));
            int n = g.Count;
            double size = Enumerable.Range(0, n).Max(k => g.Norm(k));
            foreach (string radius in new[] { "0.4", "0.9" })
            {
                double value = double.Parse(radius, System.Globalization.CultureInfo.InvariantCulture);
                var weights = Weigh(new CaGrad(n, value), g);
                double[] pi = weights.Pi.ToArray(), d = g.Mix(weights.Coefficients);
                double[] mean = g.Mix([.. Enumerable.Repeat(1.0 / n, n)]), mixed = g.Mix(pi);
                double objective = Gradients.Dot(mixed, mean) + value * Gradients.Norm(mean) * Gradients.Norm(mixed);
                Check($"cagrad_{radius}.d", BalanceFixture.Tensor($"{id}.cagrad_{radius}.d_rescale1"), d, 1e-5);
                // The dual is convex: ours may be lower than the recorded search, never higher.
                double recorded = c.GetProperty("cagrad_objective").GetProperty($"cagrad_{radius}").GetDouble();
                Check($"cagrad_{radius}.objective", [recorded], [objective], 1e-9);
            }

            var orders = c.GetProperty("pcgrad_orders").Deserialize<int[][]>()!;
            var sum = new double[n];
            for (int i = 0; i < n; i++)
                PcGrad.AddProjected(g.Gram(), i, orders[i], sum, new double[n]);
            Check("pcgrad.sum", BalanceFixture.Tensor($"{id}.pcgrad.sum"), g.Mix(sum), 1e-9);
            for (int i = 0; i < n; i++)
            {
                var one = new double[n];
                PcGrad.AddProjected(g.Gram(), i, orders[i], one, new double[n]);
                Check("pcgrad.projected", BalanceFixture.Rows($"{id}.pcgrad.projected")[i], g.Mix(one), 1e-9);
            }

            Check("imtlg", BalanceFixture.Tensor($"{id}.imtlg.alpha"), Weigh(new ImtlG(n), g).Pi.ToArray(), 1e-9);
            double unit = Math.Sqrt(Math.Sqrt(g.Gram().Sum(entry => entry * entry)));
            Check("nash", BalanceFixture.Tensor($"{id}.nash.alpha"), [.. Weigh(new NashMtl(n), g).Pi.ToArray().Select(a => a / unit)], 1e-9);

            void Check(string kind, double[] expected, double[] actual, double tolerance)
            {
                ran[kind] = ran.GetValueOrDefault(kind) + 1;
                double worst = expected.Zip(actual, (e, a) => Math.Abs(e - a)).Max();
                if (!(worst <= tolerance * Math.Max(1, size)))
                    failed.Add($"{id} {kind}: off by {worst}");
            }
        }

        foreach (var (kind, count) in ran)
            output.WriteLine($"{kind}: ran {count}, failed {failed.Count(f => f.Contains($" {kind}:", StringComparison.Ordinal))}, missing 0");
        Assert.Equal(6, ran["nash"]);
        Assert.True(failed.Count == 0, string.Join("\n", failed));
    }

    private static StepWeights Weigh(Balancer rule, Gradients g) => rule.Weigh(new StepSignals([.. Enumerable.Repeat(1.0, g.Count)], g.Gram()));
}
