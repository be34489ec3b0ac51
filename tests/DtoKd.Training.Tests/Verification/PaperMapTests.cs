using System.Text.RegularExpressions;

namespace DtoKd.Training.Tests.Verification;

/// <summary>The map from the paper to the code names files that are there.</summary>
public partial class PaperMapTests
{
    [Theory]
    [InlineData("docs/paper-map.md")]
    [InlineData("docs/trade-off.md")]
    public void Every_file_named_there_exists(string document)
    {
        var root = Root();
        string text = File.ReadAllText(Path.Combine(root.FullName, document));
        string[] named = [.. Paths().Matches(text).Select(match => match.Groups[1].Value).Distinct()];
        Assert.True(named.Length >= 3, $"{document} names only {named.Length} files");
        Assert.All(named, path => Assert.True(Path.Exists(Path.Combine(root.FullName, path)), $"{document} names {path}"));
        string folder = Path.GetDirectoryName(Path.Combine(root.FullName, document))!;
        Assert.All(
            Links().Matches(text).Select(match => match.Groups[1].Value),
            path => Assert.True(Path.Exists(Path.Combine(folder, path)), $"{document} links to {path}"));
    }

    private static DirectoryInfo Root()
    {
        var folder = new DirectoryInfo(AppContext.BaseDirectory);
        while (!File.Exists(Path.Combine(folder.FullName, "DtoKd.Pure.sln")))
            folder = folder.Parent ?? throw new DirectoryNotFoundException("the tests run outside the repository");
        return folder;
    }

    /// <summary>A path from the repository's root, in backticks.</summary>
    [GeneratedRegex("`((?:engine|models|training|tests|docs)/[^`\\s]+)`")]
    private static partial Regex Paths();

    /// <summary>A link to a file, not to an address or a heading.</summary>
    [GeneratedRegex(@"\]\(([^)#:\s]+)\)")]
    private static partial Regex Links();
}
