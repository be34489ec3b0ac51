using System.Text;

namespace DtoKd.Models.Checkpoints;

/// <summary>Makes text out of a file fit for a message.</summary>
internal static class Quoting
{
    private const int MaxQuoted = 120;

    /// <summary>A name out of a file: quoted, on one line and not too long.</summary>
    internal static string Quote(string name) => $"'{OneLine(name)}'";

    /// <summary>On one line and not too long.</summary>
    internal static string OneLine(string text)
    {
        var line = new StringBuilder(Math.Min(text.Length, MaxQuoted) + 3);
        foreach (char c in text.AsSpan(0, Math.Min(text.Length, MaxQuoted)))
            line.Append(char.IsControl(c) || c is '\u2028' or '\u2029' ? '?' : c);
        return text.Length > MaxQuoted ? line.Append("...").ToString() : line.ToString();
    }
}
