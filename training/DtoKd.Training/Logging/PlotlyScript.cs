using Plotly.NET;

namespace DtoKd.Training.Logging;

/// <summary>plotly.js for a page that asks the network for nothing, from the Plotly.NET package; nothing else knows it.</summary>
internal static class PlotlyScript
{
    /// <summary>The content security policy of a page that draws with Plotly and loads nothing.</summary>
    public const string ContentPolicy =
        "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:";

    /// <summary>Writes the script and its licence into the page.</summary>
    public static void Write(TextWriter page)
    {
        var plotly = typeof(PlotlyJSReference).Assembly;
        string script = plotly.GetManifestResourceNames().Single(name => name.EndsWith(".min.js", StringComparison.Ordinal));
        foreach (var (name, type) in new[] { (script + ".LICENSE.txt", "text/plain"), (script, "text/javascript") })
        {
            using var content = new StreamReader(plotly.GetManifestResourceStream(name)!);
            page.WriteLine($"<script type=\"{type}\">");
            page.WriteLine(content.ReadToEnd());
            page.WriteLine("</script>");
        }
    }
}
