using System.Globalization;
using DtoKd.Training.Balancing;

namespace DtoKd.Training.Verification;

/// <summary>Where the trajectories of one balancer ended.</summary>
/// <param name="Name">The rule as the registry lists it.</param>
/// <param name="Trajectories">One for each of <see cref="ToyProblem.Starts"/>.</param>
public sealed record ToyResult(string Name, IReadOnlyList<ToyPoint[]> Trajectories);

/// <summary>The page of <c>dtokd toy</c>: every balancer's trajectories over the map of the mean objective.</summary>
public static class ToyPage
{
    private const int Grid = 61;
    private const double Reach = 10;

    // Okabe and Ito's colours, told apart with every common kind of colour blindness.
    private static readonly string[] _colours = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000"];

    /// <summary>Follows every rule of the registry from every start.</summary>
    /// <param name="steps">Steps of each trajectory, at least 1.</param>
    /// <param name="stop">Ends the work between two rules.</param>
    /// <returns>A result for each distinct rule, in the registry's order.</returns>
    public static IReadOnlyList<ToyResult> Run(int steps, CancellationToken stop = default) =>
    [
        .. BalancerRegistry.Distinct.Select(entry =>
        {
            stop.ThrowIfCancellationRequested();
            return new ToyResult(entry.Name,
            [
                .. ToyProblem.Starts.Select(start =>
                    ToyRun.Follow(entry.Create(new BalancerOptions { Objectives = 2, Task = 1 }), start, steps + 1)),
            ]);
        }),
    ];

    /// <summary>How far the end of a trajectory is from the best trade-offs.</summary>
    /// <param name="trajectory">Its points.</param>
    public static double Miss(ToyPoint[] trajectory) => ToyProblem.DistanceToFront(trajectory[^1].X1, trajectory[^1].X2);

    /// <summary>Writes the page, whole or not at all.</summary>
    /// <param name="path">The file to make or replace.</param>
    /// <param name="results">What <see cref="Run"/> gave.</param>
    /// <exception cref="IOException">The folder is missing or the disk is full.</exception>
    public static void Write(string path, IReadOnlyList<ToyResult> results)
    {
        var rows = results.Select(result => (IReadOnlyList<string>)
            [result.Name, .. result.Trajectories.Select(points => Text(Miss(points)))]).ToArray();
        var (x, y, z) = Map();
        FigurePage.Write(
            path,
            "The two-objective toy, by every balancer",
            "FAMO's toy with the first objective scaled by 0.1; Adam, step size 0.05. Contours: the mean of both objectives. "
                + "The best trade-offs lie on the black line below. The table: distance to it at the end, for each start.",
            [new FigureTable(
                ["Rule", .. ToyProblem.Starts.Select(start => $"from ({Text(start.X1)}, {Text(start.X2)})")], rows)],
            [.. results.Select(result => Panel(result, x, y, z))],
            3);
    }

    private static Figure Panel(ToyResult result, double[] x, double[] y, double[][] z)
    {
        List<object> traces =
        [
            new
            {
                type = "contour", x, y, z, showscale = false, colorscale = "Greys", reversescale = false, opacity = 0.45, ncontours = 25,
                hoverinfo = "skip",
            },
            new
            {
                type = "scatter", mode = "lines", name = "best trade-offs", x = ToyProblem.Front.Select(p => p.X1).ToArray(),
                y = ToyProblem.Front.Select(p => p.X2).ToArray(),
                line = new { color = "#000000", width = 4 },
            },
        ];
        foreach (var (index, points) in result.Trajectories.Index())
        {
            string colour = _colours[index % _colours.Length];
            // A thousand points are more than the eye follows.
            int every = Math.Max(1, points.Length / 500);
            ToyPoint[] shown = [.. points.Where((_, i) => i % every == 0 || i == points.Length - 1)];
            traces.Add(new
            {
                type = "scatter", mode = "lines", name = $"start {index + 1}", line = new { color = colour, width = 2 },
                x = shown.Select(p => p.X1).ToArray(), y = shown.Select(p => p.X2).ToArray(),
            });
            traces.Add(new
            {
                type = "scatter", mode = "markers", hoverinfo = "skip", x = (double[])[points[0].X1, points[^1].X1],
                y = (double[])[points[0].X2, points[^1].X2],
                marker = new { color = colour, size = 9, symbol = (string[])["circle", "star"] },
            });
        }
        double worst = result.Trajectories.Max(Miss);
        return new Figure(
            result.Name,
            $"Circle: start; star: end after {result.Trajectories[0].Length - 1} steps. Farthest end from the front: {Text(worst)}.",
            traces,
            new
            {
                xaxis = new { title = new { text = "x1" }, range = (double[])[-Reach - 0.5, Reach + 0.5] },
                yaxis = new { title = new { text = "x2" }, range = (double[])[-Reach - 0.5, Reach + 0.5] },
            });
    }

    private static (double[] X, double[] Y, double[][] Z) Map()
    {
        double[] axis = [.. Enumerable.Range(0, Grid).Select(i => Reach * (2.0 * i / (Grid - 1) - 1))];
        var f = new double[2];
        double[][] z = [.. axis.Select(x2 => axis.Select(x1 =>
        {
            ToyProblem.Values(x1, x2, f);
            // The scale is the problem's trap, not its shape: both objectives count the same in the map.
            return 0.5 * (f[0] / ToyProblem.Scale + f[1]);
        }).ToArray())];
        return (axis, axis, z);
    }

    private static string Text(double value) => value.ToString("0.##", CultureInfo.InvariantCulture);
}
