using System.Buffers;
using System.Text.Json;

namespace DtoKd.Training.Logging;

/// <content>
/// The charts as Plotly figures. We write their JSON ourselves (Plotly.NET's chart builders want F# options and one object per
/// point).
/// </content>
public static partial class HtmlReport
{
    private const string Smoothing = " Thick: moving average over 2\u00a0% of the steps; faint: single steps.";

    // Okabe and Ito's palette, told apart with every common kind of colour blindness; without its yellow, too pale on white.
    private static readonly string[] _colours = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"];
    private static readonly string[] _dashes = ["solid", "dash", "dot"];

    private sealed record Section(string Title, IReadOnlyList<Chart> Charts);

    private sealed record Chart(string Id, string Title, string? Objective, string Caption, Axis Axis, IReadOnlyList<Line> Lines)
    {
        /// <summary>Height of a horizontal line to compare with.</summary>
        public double? Reference { get; init; }

        /// <summary>One point per epoch rather than per step.</summary>
        public bool PerEpoch { get; init; }
    }

    /// <summary>The vertical axis.</summary>
    private sealed record Axis(bool Logarithmic = false, double? From = null, double? To = null, string Unit = "");

    private sealed record Line(int Run, string Name, Curve Curve);

    private static (string Colour, string Dash) Style(int run) =>
        (_colours[run % _colours.Length], _dashes[run / _colours.Length % _dashes.Length]);

    private static List<Section> Sections(RunSummary summary)
    {
        var runs = RunResult.RunsOf(summary.Metrics);
        var steps = summary.Metrics.Steps.ToLookup(step => step.Run);
        StepRecord[][] stepsOf = [.. runs.Select(run => steps[run].ToArray())];
        int charts = 0;

        List<Chart> PerObjective(string title, Func<StepRecord, NamedValues> select, Func<string, string> caption,
            Axis axis, double? reference = null)
        {
            string[] objectives = [.. summary.Metrics.Steps.SelectMany(step => select(step).Names.ToArray()).Distinct()];
            return [.. objectives.Select(objective =>
            {
                var lines = runs.Index().Select(run => new Line(run.Index, run.Item, CurveOf(stepsOf[run.Index],
                    step => select(step).Find(objective)))).Where(line => line.Curve.Count > 0).ToList();
                string smoothing = lines.Any(line => line.Curve.CanSmooth) ? Smoothing : "";
                return new Chart($"chart{charts++}", title, objective, caption(objective) + smoothing, Fit(axis, lines), lines)
                {
                    Reference = reference,
                };
            })];
        }

        List<Section> sections =
        [
            new("Accuracy", Top1Charts(summary, runs)),
            new("Losses", PerObjective("Loss", step => step.Losses,
                name => $"The loss “{name}” before weighting, on a logarithmic axis.", new(true))),
            new("Weights", PerObjective("Weight π of", step => step.Weights,
                name => $"The weight given to “{name}”; where a method balances, the weights of a step sum to 1.",
                new(From: 0, To: 1))),
            new("Conflict and dominance",
            [
                .. PerObjective("Cosine to the task’s gradient of", step => step.Cosine,
                    name => $"The cosine between the gradients of “{name}” and of the task over the shared parameters. " +
                        "Below 0 (dashed) the two conflict: a step along one makes the other worse.", new(From: -1, To: 1), 0),
                .. PerObjective("Norm relative to the task’s gradient of", step => step.NormRatio,
                    name => $"The norm of the gradient of “{name}” divided by that of the task, on a logarithmic axis. " +
                        "Far from 1 (dashed) one of the two dominates the sum.", new(true), 1),
            ]),
        ];
        sections.RemoveAll(section => section.Charts.Count == 0);
        return sections;
    }

    private static List<Chart> Top1Charts(RunSummary summary, IReadOnlyList<string> runs)
    {
        var epochs = summary.Metrics.Epochs.Where(epoch => epoch.Top1 is not null).ToLookup(epoch => epoch.Run);
        List<Line> lines = [.. runs.Index().Where(run => epochs.Contains(run.Item)).Select(run => new Line(run.Index, run.Item,
            new Curve([.. epochs[run.Item].Select(epoch => (double)epoch.Epoch)],
                [.. epochs[run.Item].Select(epoch => epoch.Top1!.Value * 100)])))];
        if (lines.Count == 0)
            return [];
        return
        [
            new Chart("top1", "Top-1", null, "Share of held-out images whose first guess is right, after every epoch." +
                summary.Teachers.Count switch { 0 => "", 1 => " Dashed: the teacher.", _ => " Dashed: the best teacher." }, new Axis(Unit: "%"), lines)
            {
                Reference = summary.Teachers.Count == 0 ? null : 100 * summary.Teachers.Max(teacher => teacher.Top1),
                PerEpoch = true,
            },
        ];
    }

    private static Curve CurveOf(StepRecord[] steps, Func<StepRecord, double?> select)
    {
        var measured = steps.Select(step => (step.Step, Value: select(step))).Where(point => point.Value is not null).ToArray();
        return new Curve([.. measured.Select(point => (double)point.Step)], [.. measured.Select(point => point.Value!.Value)]);
    }

    /// <summary>Gives up the fixed range of an axis when a value lies outside, as fixed weights above 1 do.</summary>
    private static Axis Fit(Axis axis, List<Line> lines) =>
        lines.Any(line => line.Curve.Y.Any(y => y < axis.From || y > axis.To)) ? axis with { From = null, To = null } : axis;

    private static void WriteScripts(TextWriter page, List<Section> sections)
    {
        PlotlyScript.Write(page);
        page.WriteLine($"""
            <script type="application/json" id="charts">{ChartsJson(sections)}</script>
            <script>
            {Resource("report.js")}</script>
            """);
    }

    private static string ChartsJson(List<Section> sections)
    {
        var buffer = new ArrayBufferWriter<byte>();
        // The default encoder also escapes <, > and &, so that no name can end the script element.
        using (var json = new Utf8JsonWriter(buffer))
        {
            json.WriteStartArray();
            foreach (var chart in sections.SelectMany(section => section.Charts))
                WriteChart(json, chart);
            json.WriteEndArray();
        }
        return System.Text.Encoding.UTF8.GetString(buffer.WrittenSpan);
    }

    private static void WriteChart(Utf8JsonWriter json, Chart chart)
    {
        json.WriteStartObject();
        json.WriteString("id", chart.Id);
        json.WriteString("x", chart.PerEpoch ? "epoch" : "step");
        json.WriteBoolean("log", chart.Axis.Logarithmic);
        json.WriteString("unit", chart.Axis.Unit);
        if (chart.Axis is { From: { } from, To: { } to })
        {
            // A little room, so that a line on the border is seen whole.
            double room = 0.03 * (to - from);
            WriteNumbers(json, "range", [from - room, to + room]);
        }
        if (chart.Reference is { } reference)
            json.WriteNumber("reference", reference);
        json.WriteStartArray("traces");
        // All faint lines first, so that no thick one is drawn under them.
        foreach (var line in chart.Lines.Where(line => !chart.PerEpoch && line.Curve.CanSmooth))
            WriteTrace(json, line, line.Curve.Thinned(), "lines", faint: true);
        foreach (var line in chart.Lines)
        {
            bool smooth = !chart.PerEpoch && line.Curve.CanSmooth;
            WriteTrace(json, line, smooth ? line.Curve.Smoothed(chart.Axis.Logarithmic) : line.Curve,
                chart.PerEpoch ? "lines+markers" : "lines", faint: false);
        }
        json.WriteEndArray();
        json.WriteEndObject();
    }

    private static void WriteTrace(Utf8JsonWriter json, Line line, Curve curve, string mode, bool faint)
    {
        var (colour, dash) = Style(line.Run);
        json.WriteStartObject();
        json.WriteNumber("meta", line.Run);
        // Plotly reads markup in names; escaped, it shows them as they are.
        json.WriteString("name", Html(line.Name));
        json.WriteString("mode", mode);
        if (faint)
        {
            json.WriteNumber("opacity", 0.2);
            json.WriteString("hoverinfo", "skip");
        }
        json.WriteStartObject("line");
        json.WriteString("color", colour);
        json.WriteString("dash", faint ? "solid" : dash);
        json.WriteNumber("width", faint ? 1 : 2);
        json.WriteEndObject();
        WriteNumbers(json, "x", curve.X);
        WriteNumbers(json, "y", curve.Y);
        json.WriteEndObject();
    }

    private static void WriteNumbers(Utf8JsonWriter json, string name, double[] values)
    {
        json.WriteStartArray(name);
        foreach (double value in values)
        {
            if (!double.IsFinite(value))
                json.WriteNullValue();
            else if (value == Math.Round(value))
                json.WriteNumberValue(value);
            else
                json.WriteRawValue(value.ToString("G5", _culture));
        }
        json.WriteEndArray();
    }
}
