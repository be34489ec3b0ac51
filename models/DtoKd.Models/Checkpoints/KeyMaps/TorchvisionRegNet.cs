using System.Text.RegularExpressions;

namespace DtoKd.Models.Checkpoints;

/// <summary>torchvision's RegNet: <c>trunk_output.block1.block1-0.f.a.0.weight</c> is timm's <c>s1.b1.conv1.conv.weight</c>.</summary>
internal sealed partial class TorchvisionRegNet() : WritableKeyMap("torchvision RegNet")
{
    public override bool Describes(IReadOnlySet<string> names) => names.Any(name => name.StartsWith("trunk_output.", StringComparison.Ordinal));

    public override string ToTimm(string name)
    {
        if (name.StartsWith("fc.", StringComparison.Ordinal))
            return $"head.{name}";
        if (Stem().Match(name) is { Success: true } stem)
            return $"stem.{Unit(stem.Groups[1].Value)}.{stem.Groups[2].Value}";
        if (Block().Match(name) is not { Success: true } block)
            return name;
        string prefix = $"s{block.Groups[1].Value}.b{int.Parse(block.Groups[2].Value) + 1}.", rest = block.Groups[3].Value;
        if (rest.StartsWith("f.se.", StringComparison.Ordinal))
            return prefix + rest[2..];
        if (Shortcut().Match(rest) is { Success: true } shortcut)
            return $"{prefix}downsample.{Unit(shortcut.Groups[1].Value)}.{shortcut.Groups[2].Value}";
        return Convolution().Match(rest) is { Success: true } part
            ? $"{prefix}conv{part.Groups[1].Value[0] - 'a' + 1}.{Unit(part.Groups[2].Value)}.{part.Groups[3].Value}"
            : name;
    }

    public override bool CanName(IReadOnlySet<string> timmNames) => timmNames.Contains("s1.b1.conv1.conv.weight");

    public override string FromTimm(string name)
    {
        if (name.StartsWith("head.fc.", StringComparison.Ordinal))
            return name["head.".Length..];
        if (TimmStem().Match(name) is { Success: true } stem)
            return $"stem.{Place(stem.Groups[1].Value)}.{stem.Groups[2].Value}";
        if (TimmBlock().Match(name) is not { Success: true } block)
            return name;
        string stage = block.Groups[1].Value, rest = block.Groups[3].Value;
        string prefix = $"trunk_output.block{stage}.block{stage}-{int.Parse(block.Groups[2].Value) - 1}.";
        if (rest.StartsWith("se.", StringComparison.Ordinal))
            return $"{prefix}f.{rest}";
        if (TimmUnit().Match(rest) is not { Success: true } unit)
            return name;
        string where = unit.Groups[1].Value == "downsample" ? "proj" : $"f.{(char)('a' + unit.Groups[1].Value[^1] - '1')}";
        return $"{prefix}{where}.{Place(unit.Groups[2].Value)}.{unit.Groups[3].Value}";
    }

    // A convolution stands first in its sequence, the batch norm second.
    private static string Unit(string place) => place == "0" ? "conv" : "bn";

    private static string Place(string unit) => unit == "conv" ? "0" : "1";

    [GeneratedRegex(@"^stem\.([01])\.(\w+)$")]
    private static partial Regex Stem();

    [GeneratedRegex(@"^trunk_output\.block(\d{1,4})\.block\1-(\d{1,4})\.(.+)$")]
    private static partial Regex Block();

    [GeneratedRegex(@"^proj\.([01])\.(\w+)$")]
    private static partial Regex Shortcut();

    [GeneratedRegex(@"^f\.([abc])\.([01])\.(\w+)$")]
    private static partial Regex Convolution();

    [GeneratedRegex(@"^stem\.(conv|bn)\.(\w+)$")]
    private static partial Regex TimmStem();

    [GeneratedRegex(@"^s(\d{1,4})\.b(\d{1,4})\.(.+)$")]
    private static partial Regex TimmBlock();

    [GeneratedRegex(@"^(conv[123]|downsample)\.(conv|bn)\.(\w+)$")]
    private static partial Regex TimmUnit();
}
