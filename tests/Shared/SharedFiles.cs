namespace DtoKd.Tests;

/// <summary>Finds golden values and real data.</summary>
internal static class SharedFiles
{
    /// <summary>The path of a file or folder of golden values or real data.</summary>
    /// <param name="relative">
    /// <c>fixtures/NAME</c> is taken from the folder that DTOKD_FIXTURES names, if it is set, then from the repository's
    /// <c>tests/Fixtures</c>, which the build copies beside the tests. What is not there, and anything else, is looked for in the
    /// folder <c>shared</c> beside the repository; where it is absent, the calling test is skipped.
    /// </param>
    /// <exception cref="DirectoryNotFoundException">DTOKD_FIXTURES names no folder.</exception>
    public static string Require(string relative)
    {
        const string fixtures = "fixtures/";
        if (relative.StartsWith(fixtures, StringComparison.Ordinal))
        {
            string name = relative[fixtures.Length..];
            string? other = Environment.GetEnvironmentVariable("DTOKD_FIXTURES");
            if (!string.IsNullOrEmpty(other) && !Directory.Exists(other))
                throw new DirectoryNotFoundException($"DTOKD_FIXTURES is set to {other}, which is no folder");
            string? path = string.IsNullOrEmpty(other) ? null : Existing(Path.Combine(other, name));
            path ??= Existing(Path.Combine(AppContext.BaseDirectory, "Fixtures", name));
            if (path is not null)
                return path;
        }

        for (var folder = new DirectoryInfo(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            if (Existing(Path.Combine(folder.FullName, "shared", relative)) is { } beside)
                return beside;
        }
        Assert.Skip($"needs shared/{relative} beside the repository");
        return "";
    }

    private static string? Existing(string path) => File.Exists(path) || Directory.Exists(path) ? path : null;
}
