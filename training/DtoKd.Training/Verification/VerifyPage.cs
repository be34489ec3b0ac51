using System.Globalization;
using DtoKd.Training.Balancing;

namespace DtoKd.Training.Verification;

/// <summary>
/// The page of <c>dtokd verify</c>: the verdicts, the map of where each statement about two gradients holds over their ratio of
/// norms and their angle, and where the readings of Algorithm 1 end.
/// </summary>
public static class VerifyPage
{
    private const int Ratios = 61, Angles = 91;
    private const double Decades = 3;

    private static readonly string[] _mapped =
        ["Theorem 3.1", "3.2 alignment", "3.3 equal contribution", "3.4 lower bound", "3.5 upper bound", "two-sided bound"];

    /// <summary>Writes the page, whole or not at all.</summary>
    /// <param name="path">The file to make or replace.</param>
    /// <param name="results">What came out.</param>
    /// <param name="version">The program's version.</param>
    /// <exception cref="IOException">The folder is missing or the disk is full.</exception>
    public static void Write(string path, IReadOnlyList<ClaimResult> results, string version)
    {
        var rows = results.Select(result => (IReadOnlyList<string>)
        [
            result.Name,
            result.Verdict,
            result.Statement,
            result.Domain,
            result.Cases.ToString(CultureInfo.InvariantCulture),
            result.DomainShare.ToString("P1", CultureInfo.InvariantCulture),
            result.WorstMargin.ToString("0.0e+00", CultureInfo.InvariantCulture),
            result.CounterExample?.ToString() ?? "",
        ]).ToArray();
        FigurePage.Write(
            path,
            "The trade-off, verified",
            "a = ‖g1‖², b = ‖g2‖², c = ⟨g1, g2⟩, D = ‖g1 − g2‖², m and M the smaller and the larger norm, φ the angle, "
                + $"g* = π1 g1 + π2 g2 with the weights of dtokd {version}. A margin below 0 by more than rounding is a failure.",
            [new FigureTable(
                ["Claim", "Verdict", "Statement", "Where", "Cases", "In it", "Worst margin", "Fails at"], rows)],
            [.. _mapped.Select(Map), .. Readings(), Border()],
            3);
    }

    /// <summary>Whether a statement is true of the product's weights at each point of the map.</summary>
    /// <param name="claim">A claim about two gradients.</param>
    /// <param name="logRatio">log10 of ‖g1‖/‖g2‖.</param>
    /// <param name="angle">φ in degrees.</param>
    public static bool IsTrueAt(PairClaim claim, double logRatio, double angle)
    {
        var (sin, cos) = Math.SinCos(angle * Math.PI / 180);
        // Exactly opposed is where statements fail; a rounded sine would miss it.
        if (angle == 180)
            (sin, cos) = (0, -1);
        double ratio = Math.Pow(10, logRatio);
        return claim.IsTrueOf(Verifier.Measure([ratio, 0], [cos, sin]));
    }

    private static Figure Map(string name)
    {
        var claim = PaperClaims.All.Single(claim => claim.Name == name);
        double[] x = [.. Enumerable.Range(0, Ratios).Select(i => Decades * (2.0 * i / (Ratios - 1) - 1))];
        double[] y = [.. Enumerable.Range(0, Angles).Select(i => 180.0 * i / (Angles - 1))];
        double[][] z = [.. y.Select(angle => x.Select(ratio => IsTrueAt(claim, ratio, angle) ? 1.0 : 0).ToArray())];
        return new Figure(
            name,
            $"{claim.Statement}. Blue: true; orange: false. Domain: {claim.Domain}.",
            [
                new
                {
                    type = "heatmap", x, y, z, zmin = 0, zmax = 1, showscale = false,
                    colorscale = new object[] { new object[] { 0, "#E69F00" }, new object[] { 1, "#56B4E9" } },
                },
            ],
            new
            {
                xaxis = new { title = new { text = "log10 ‖g1‖/‖g2‖" } },
                yaxis = new { title = new { text = "angle φ, degrees" }, dtick = 45 },
            });
    }

    /// <summary>π1 of the three readings of Algorithm 1 with the losses held where they are.</summary>
    private static IEnumerable<Figure> Readings()
    {
        foreach (var (title, losses, caption) in (IEnumerable<(string, double[], string)>)
        [
            ("Logits, losses of one sign", [3, 12], "L = (3, 12), frozen: the logits reading collapses onto the smaller |log L|; "
                + "the literal one stays at ½; FAMO's does not move without improvements."),
            ("Logits, losses around 1", [0.8, 12], "L = (0.8, 12), frozen: the logits reading settles where π1 log L1 + π2 log L2 = 0."),
            ("The same, both losses × 10", [8, 120], "L = (8, 120): the unit of the losses decides where the logits reading goes."),
        ])
        {
            yield return new Figure(title, caption,
                [.. BalancerRegistry.Distinct.Where(entry => entry.Name.StartsWith("amortised", StringComparison.Ordinal)).Select(entry =>
                {
                    var rule = entry.Create(new BalancerOptions { Objectives = 2, Task = 1 });
                    double[] pi = [.. Enumerable.Range(0, 300).Select(_ =>
                    {
                        double first = rule.Weigh(new StepSignals(losses)).Pi[0];
                        rule.AfterStep(losses);
                        return first;
                    })];
                    return new { type = "scatter", mode = "lines", name = rule.Name, y = pi };
                })],
                new
                {
                    showlegend = true,
                    legend = new { orientation = "h", y = 1.15 },
                    xaxis = new { title = new { text = "step" } },
                    yaxis = new { title = new { text = "π1" }, range = (double[])[-0.02, 1.02] },
                });
        }
    }

    /// <summary>g* as ⟨g1, g2⟩ crosses ‖g1‖²: the weights leave the border, g* does not jump.</summary>
    private static Figure Border()
    {
        double[] c = [.. Enumerable.Range(0, 201).Select(i => i / 100.0)];
        var facts = c.Select(along => Verifier.Measure([1, 0], [along, 1])).ToArray();
        return new Figure(
            "Across the border of clamping",
            "g1 = (1, 0), g2 = (c, 1): for c ≥ ‖g1‖² = 1 the weight π2 is clamped to 0; g* and its contributions are continuous.",
            [
                new { type = "scatter", mode = "lines", name = "π2", x = c, y = facts.Select(f => f.Pi2).ToArray() },
                new { type = "scatter", mode = "lines", name = "‖g*‖", x = c, y = facts.Select(f => f.Norm).ToArray() },
                new { type = "scatter", mode = "lines", name = "⟨g*, g1⟩", x = c, y = facts.Select(f => f.Dot1).ToArray() },
                new { type = "scatter", mode = "lines", name = "⟨g*, g2⟩", x = c, y = facts.Select(f => f.Dot2).ToArray() },
            ],
            new
            {
                showlegend = true,
                legend = new { orientation = "h", y = 1.15 },
                xaxis = new { title = new { text = "c = ⟨g1, g2⟩" } },
                yaxis = new { title = new { text = "" } },
            });
    }
}
