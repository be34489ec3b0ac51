using System.Globalization;
using System.Net;
using System.Text;
using System.Text.Json;
using DtoKd.Models.Checkpoints;
using DtoKd.Training.Logging;

namespace DtoKd.Training.Verification;

/// <summary>One drawing of a page.</summary>
/// <param name="Title">Above it.</param>
/// <param name="Caption">Below it.</param>
/// <param name="Traces">Plotly traces, as objects that become JSON.</param>
/// <param name="Layout">What of Plotly's layout differs from the page's.</param>
internal sealed record Figure(string Title, string Caption, IReadOnlyList<object> Traces, object Layout);

/// <summary>A table of a page.</summary>
internal sealed record FigureTable(IReadOnlyList<string> Headings, IReadOnlyList<IReadOnlyList<string>> Rows);

/// <summary>A page of drawings: one file that asks the network for nothing.</summary>
internal static class FigurePage
{
    private static readonly JsonSerializerOptions _json = new()
    {
        // Plotly takes null for a gap and knows no other way to say NaN.
        Converters = { new FiniteOrNull() },
    };

    private const string Script = """
        "use strict";
        const ink = "#1b1f24", soft = "#59636e", rule = "#e6e9ed";
        const axis = { gridcolor: rule, linecolor: "#c4cad1", zeroline: false, automargin: true, tickfont: { color: soft } };
        for (const [i, figure] of JSON.parse(document.getElementById("figures").textContent).entries()) {
          const own = figure.layout;
          const layout = {
            font: { family: getComputedStyle(document.body).fontFamily, size: 12, color: ink },
            margin: { l: 8, r: 12, t: 8, b: 8 }, showlegend: false, hovermode: "closest",
            paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
            ...own, xaxis: { ...axis, ...own.xaxis }, yaxis: { ...axis, ...own.yaxis },
          };
          Plotly.newPlot("figure" + i, figure.traces, layout, { responsive: true, displaylogo: false, displayModeBar: false });
        }
        """;

    /// <summary>Writes the page, whole or not at all.</summary>
    /// <param name="path">The file to make or replace.</param>
    /// <param name="title">The page's title.</param>
    /// <param name="introduction">A paragraph under it.</param>
    /// <param name="tables">Tables, before the drawings.</param>
    /// <param name="figures">The drawings.</param>
    /// <param name="columns">Drawings side by side: 1, 2 or 3.</param>
    /// <exception cref="IOException">The folder is missing or the disk is full.</exception>
    public static void Write(
        string path, string title, string introduction, IReadOnlyList<FigureTable> tables, IReadOnlyList<Figure> figures,
        int columns) => AtomicFile.Write(path, stream =>
    {
        using var page = new StreamWriter(stream, new UTF8Encoding(false), leaveOpen: true) { NewLine = "\n" };
        page.WriteLine($$"""
            <!DOCTYPE html>
            <html lang="en">
            <head>
            <meta charset="utf-8">
            <meta name="viewport" content="width=device-width, initial-scale=1">
            <meta http-equiv="Content-Security-Policy" content="{{PlotlyScript.ContentPolicy}}">
            <title>{{Html(title)}}</title>
            <style>
            {{Resource("report.css")}}
            .chart { height: 340px; }
            th, td { text-align: left; white-space: normal; padding: 6px 12px; vertical-align: top; }
            td.number { text-align: right; white-space: nowrap; }
            </style>
            </head>
            <body>
            <main>
            <header><h1>{{Html(title)}}</h1><p>{{Html(introduction)}}</p></header>
            """);
        foreach (var table in tables)
        {
            page.WriteLine("""<section><div class="scroll"><table><thead><tr>""");
            page.WriteLine(string.Concat(table.Headings.Select(heading => $"<th scope=\"col\">{Html(heading)}</th>")));
            page.WriteLine("</tr></thead><tbody>");
            foreach (var row in table.Rows)
            {
                page.WriteLine($"<tr><th scope=\"row\">{Html(row[0])}</th>"
                    + string.Concat(row.Skip(1).Select(cell => $"<td{(IsNumber(cell) ? " class=\"number\"" : "")}>{Html(cell)}</td>")) + "</tr>");
            }
            page.WriteLine("</tbody></table></div></section>");
        }
        page.WriteLine($"<section><h2>Drawings</h2><div class=\"charts of{columns}\">");
        foreach (var (index, figure) in figures.Index())
        {
            page.WriteLine($"<figure><h3>{Html(figure.Title)}</h3><div class=\"chart\" id=\"figure{index}\"></div>"
                + $"<figcaption>{Html(figure.Caption)}</figcaption></figure>");
        }
        page.WriteLine("</div></section>\n</main>");
        PlotlyScript.Write(page);
        var data = figures.Select(figure => new { traces = figure.Traces, layout = figure.Layout });
        page.WriteLine($"<script type=\"application/json\" id=\"figures\">{JsonSerializer.Serialize(data, _json)}</script>");
        page.WriteLine($"<script>\n{Script}\n</script>\n</body>\n</html>");
    });

    private static bool IsNumber(string cell) =>
        double.TryParse(cell.TrimEnd('%', ' '), NumberStyles.Float, CultureInfo.InvariantCulture, out _);

    private static string Html(string text) => WebUtility.HtmlEncode(text);

    private static string Resource(string name)
    {
        using var stream = typeof(FigurePage).Assembly.GetManifestResourceStream(name)
            ?? throw new InvalidOperationException($"the assembly has no resource {name}");
        using var reader = new StreamReader(stream);
        return reader.ReadToEnd();
    }

    /// <summary>Five digits are more than a screen shows.</summary>
    private sealed class FiniteOrNull : System.Text.Json.Serialization.JsonConverter<double>
    {
        public override double Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) =>
            reader.GetDouble();

        public override void Write(Utf8JsonWriter writer, double value, JsonSerializerOptions options)
        {
            if (double.IsFinite(value))
                writer.WriteRawValue(value.ToString("G5", CultureInfo.InvariantCulture));
            else
                writer.WriteNullValue();
        }
    }
}
