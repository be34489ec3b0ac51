using System.Globalization;
using System.Net;
using System.Text;
using DtoKd.Models.Checkpoints;

namespace DtoKd.Training.Logging;

/// <summary>
/// The page that compares runs: a table and the curves of losses, weights, cosines, norm ratios and top-1. One file that asks
/// the network for nothing; the charts are drawn by Plotly.js, which is inside it.
/// </summary>
public static partial class HtmlReport
{
    private static readonly CultureInfo _culture = CultureInfo.InvariantCulture;

    /// <summary>Writes the page, whole or not at all.</summary>
    /// <param name="path">The file to make or replace.</param>
    /// <param name="summary">What is shown.</param>
    /// <exception cref="IOException">The folder is missing or the disk is full.</exception>
    public static void Write(string path, RunSummary summary) => AtomicFile.Write(path, stream =>
    {
        using var writer = new StreamWriter(stream, new UTF8Encoding(false), leaveOpen: true) { NewLine = "\n" };
        WritePage(writer, summary);
    });

    private static void WritePage(TextWriter page, RunSummary summary)
    {
        var results = RunResult.From(summary.Metrics);
        // Curves of all seeds on one another could not be read.
        summary = summary with { Metrics = RunResult.FirstSeeds(summary.Metrics) };
        var runs = RunResult.RunsOf(summary.Metrics);
        var sections = Sections(summary);
        // The policy makes "asks the network for nothing" the browser's business too.
        page.WriteLine($"""
            <!DOCTYPE html>
            <html lang="en">
            <head>
            <meta charset="utf-8">
            <meta name="viewport" content="width=device-width, initial-scale=1">
            <meta http-equiv="Content-Security-Policy" content="{PlotlyScript.ContentPolicy}">
            <title>{Html(summary.Title)}</title>
            <style>
            {Resource("report.css")}</style>
            </head>
            <body>
            <main>
            <header>
            <h1>{Html(summary.Title)}</h1>
            <dl class="facts">
            {Fact("Data set", summary.DataSet)}
            {Fact(summary.Teachers.Count > 1 ? "Teachers" : "Teacher", TeacherNames(summary))}
            {Fact("Student", summary.Student)}
            {Fact("Seed", summary.Seeds > 1 ? $"{summary.Seed} … {summary.Seed + (ulong)summary.Seeds - 1}" : $"{summary.Seed}")}
            {Fact("Date", summary.Date.UtcDateTime.ToString("yyyy-MM-dd HH:mm 'UTC'", _culture))}
            {Fact("Version", summary.Version)}
            </dl>
            </header>
            """);
        WriteTable(page, summary, results);
        if (sections.Count == 0)
            page.WriteLine("""<p class="note">There are no curves: no step was logged.</p>""");
        else
            WriteKey(page, runs);
        foreach (var section in sections)
            WriteSection(page, section);
        page.WriteLine("</main>");
        if (sections.Count > 0)
            WriteScripts(page, sections);
        page.WriteLine("</body>\n</html>");
    }

    private static void WriteTable(TextWriter page, RunSummary summary, IReadOnlyList<RunResult> results)
    {
        string[] objectives = [.. results.SelectMany(result => result.FinalLosses).Select(pair => pair.Key).Distinct()];
        double? best = results.Max(result => result.Top1);

        page.WriteLine("""<section><h2>Results</h2><div class="scroll"><table>""");
        page.Write("<thead><tr><th scope=\"col\">Method</th><th scope=\"col\">Top-1</th>");
        foreach (string objective in objectives)
            page.Write($"<th scope=\"col\">Loss <b>{Html(objective)}</b></th>");
        page.WriteLine("""
            <th scope="col">ms per step</th><th scope="col">Conflict</th><th scope="col">Clamped</th></tr></thead>
            """);
        page.WriteLine("<tbody>");
        foreach (var (index, result) in results.Index())
        {
            string mark = results.Count > 1 && result.Top1 is not null && result.Top1 == best ? " class=\"best\"" : "";
            page.Write($"<tr><th scope=\"row\">{Swatch(index)}{Html(result.Run)}</th><td{mark}>{Percent(result.Top1)}{Deviation(result)}</td>");
            foreach (string objective in objectives)
                page.Write($"<td>{Number(result.FinalLosses.Find(objective))}</td>");
            page.WriteLine($"<td>{Number(result.MillisecondsPerStep, "0.0")}</td><td>{Percent(result.ConflictShare)}</td>" +
                $"<td>{Percent(result.ClampedShare)}</td></tr>");
        }
        foreach (var teacher in summary.Teachers)
        {
            string name = summary.Teachers.Count > 1 ? $"Teacher {teacher.Name}" : "Teacher";
            page.WriteLine($"<tr class=\"teacher\"><th scope=\"row\">{Html(name)}</th><td>{Percent(teacher.Top1)}</td>" +
                $"<td colspan=\"{objectives.Length + 3}\"></td></tr>");
        }
        page.WriteLine("""
            </tbody></table></div>
            <p class="note">Top-1 on held-out images, last evaluation. Losses: means over the last epoch. ms per step: median.
            Conflict: share of steps where a distillation gradient points against the task’s (cosine &lt; 0). Clamped: share of
            steps where one gradient dominates so far that a weight sits on its border. –: not measured.
            """);
        if (summary.Seeds > 1)
            page.WriteLine("All are means over the seeds, with the standard deviation of top-1; the curves are of the first seed.");
        page.WriteLine("</p></section>");
    }

    /// <summary>The colours of the runs; each is a button that hides its run in all charts.</summary>
    private static void WriteKey(TextWriter page, IReadOnlyList<string> runs)
    {
        page.Write("<nav class=\"key\" aria-label=\"Runs shown\">");
        foreach (var (index, run) in runs.Index())
            page.Write($"<button type=\"button\" data-run=\"{index}\" aria-pressed=\"true\">{Swatch(index)}{Html(run)}</button>");
        page.WriteLine("</nav>");
    }

    private static void WriteSection(TextWriter page, Section section)
    {
        page.WriteLine($"<section><h2>{Html(section.Title)}</h2><div class=\"charts of{Columns(section.Charts.Count)}\">");
        foreach (var chart in section.Charts)
        {
            string of = chart.Objective is { } objective ? $" <b>{Html(objective)}</b>" : "";
            page.WriteLine($"<figure><h3>{Html(chart.Title)}{of}</h3><div class=\"chart\" id=\"{chart.Id}\"></div>" +
                $"<figcaption>{Html(chart.Caption)}</figcaption></figure>");
        }
        page.WriteLine("</div></section>");
    }

    private static int Columns(int charts) => charts switch { 1 => 1, 2 or 4 => 2, _ => 3 };

    private static string Swatch(int run)
    {
        var (colour, dash) = Style(run);
        string dashes = dash switch { "dash" => " stroke-dasharray=\"6 3\"", "dot" => " stroke-dasharray=\"2 3\"", _ => "" };
        return "<svg class=\"swatch\" viewBox=\"0 0 22 8\" aria-hidden=\"true\">" +
            $"<path d=\"M0 4H22\" stroke=\"{colour}\"{dashes}/></svg>";
    }

    private static string TeacherNames(RunSummary summary) =>
        summary.Teachers.Count == 0 ? "none" : string.Join(", ", summary.Teachers.Select(teacher => teacher.Name));

    private static string Fact(string name, string value) => $"<div><dt>{Html(name)}</dt><dd>{Html(value)}</dd></div>";

    private static string Deviation(RunResult result) =>
        result.Top1Deviation is { } deviation ? $" ± {Number(deviation * 100, "0.0")}" : "";

    private static string Percent(double? share) => Number(share * 100, "0.0", " %");

    private static string Number(double? value, string? format = null, string unit = "") => value switch
    {
        null => "–",
        double.PositiveInfinity => "∞",
        double.NegativeInfinity => "−∞",
        double.NaN => "NaN",
        // Four digits that count, without an exponent for what people read as a loss.
        { } number => number.ToString(format ?? (Math.Abs(number) is 0 or (>= 1e-3 and < 1e4) ? FixedFormat(number) : "0.000e0"),
            _culture) + unit,
    };

    private static string FixedFormat(double number) => Math.Abs(number) switch
    {
        >= 1000 => "0",
        >= 100 => "0.0",
        >= 10 => "0.00",
        >= 1 => "0.000",
        _ => "0.0000",
    };

    private static string Html(string text) => WebUtility.HtmlEncode(text);

    private static string Resource(string name)
    {
        using var stream = typeof(HtmlReport).Assembly.GetManifestResourceStream(name)
            ?? throw new InvalidOperationException($"the assembly has no resource {name}");
        return new StreamReader(stream).ReadToEnd();
    }
}
