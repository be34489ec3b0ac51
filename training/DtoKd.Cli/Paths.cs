namespace DtoKd.Cli;

/// <summary>Paths as they are shown.</summary>
internal static class Paths
{
    /// <summary>Relative to the current folder where that is shorter than climbing out of it.</summary>
    public static string Shown(string path)
    {
        string relative = Path.GetRelativePath(Environment.CurrentDirectory, path);
        return relative.StartsWith("..", StringComparison.Ordinal) ? Path.GetFullPath(path) : relative;
    }

    /// <summary>As it can be typed into a shell.</summary>
    public static string Typed(string path) => Shown(path) is var shown && shown.Contains(' ') ? $"'{shown}'" : shown;
}
