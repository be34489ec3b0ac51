using System.Text.RegularExpressions;

namespace DtoKd.Models.Checkpoints;

/// <summary>
/// torchvision's Swin: even <c>features.2s</c> merge patches before stage s, odd <c>features.(2s + 1)</c> are its blocks.
/// </summary>
internal sealed partial class TorchvisionSwin() : WritableKeyMap("torchvision Swin")
{
    public override bool Describes(IReadOnlySet<string> names) => names.Contains("features.1.0.attn.qkv.weight");

    public override string? ToTimm(string name)
    {
        if (SwinBuffers.Has(name))
            return null;
        if (name.StartsWith("head.", StringComparison.Ordinal))
            return $"head.fc.{name["head.".Length..]}";
        if (Embedding().Match(name) is { Success: true } embedding)
            return $"patch_embed.{(embedding.Groups[1].Value == "0" ? "proj" : "norm")}.{embedding.Groups[2].Value}";
        if (Stage().Match(name) is not { Success: true } stage)
            return name;
        int index = int.Parse(stage.Groups[1].Value);
        string rest = stage.Groups[2].Value;
        return index % 2 == 0
            ? $"layers.{index / 2}.downsample.{rest}"
            : $"layers.{index / 2}.blocks.{rest.Replace("mlp.0.", "mlp.fc1.").Replace("mlp.3.", "mlp.fc2.")}";
    }

    public override bool CanName(IReadOnlySet<string> timmNames) => timmNames.Contains("layers.0.blocks.0.attn.qkv.weight");

    public override string FromTimm(string name)
    {
        if (name.StartsWith("head.fc.", StringComparison.Ordinal))
            return $"head.{name["head.fc.".Length..]}";
        if (name.StartsWith("patch_embed.", StringComparison.Ordinal))
            return name.Replace("patch_embed.proj.", "features.0.0.").Replace("patch_embed.norm.", "features.0.2.");
        if (TimmStage().Match(name) is not { Success: true } stage)
            return name;
        int index = 2 * int.Parse(stage.Groups[1].Value);
        string rest = stage.Groups[3].Value;
        return stage.Groups[2].Value == "downsample"
            ? $"features.{index}.{rest}"
            : $"features.{index + 1}.{rest.Replace("mlp.fc1.", "mlp.0.").Replace("mlp.fc2.", "mlp.3.")}";
    }

    [GeneratedRegex(@"^features\.0\.([02])\.(\w+)$")]
    private static partial Regex Embedding();

    [GeneratedRegex(@"^features\.([1-9]\d{0,3})\.(.+)$")]
    private static partial Regex Stage();

    [GeneratedRegex(@"^layers\.(\d{1,4})\.(downsample|blocks)\.(.+)$")]
    private static partial Regex TimmStage();
}

/// <summary>
/// Swin as Microsoft published it and as timm named it before 0.9: patches are merged at the end of a stage, not at the start of
/// the next, and the classifier is <c>head</c>.
/// </summary>
internal sealed partial class EarlySwin() : KeyMap("Microsoft's Swin, or timm's before 0.9")
{
    public override bool Describes(IReadOnlySet<string> names) =>
        names.Contains("layers.0.blocks.0.attn.qkv.weight")
        && (names.Contains("layers.0.downsample.reduction.weight") || names.Contains("head.weight"));

    public override string? ToTimm(string name)
    {
        if (SwinBuffers.Has(name))
            return null;
        if (name is "head.weight" or "head.bias")
            return name.Replace("head.", "head.fc.");
        return Merging().Match(name) is { Success: true } merging
            ? $"layers.{int.Parse(merging.Groups[1].Value) + 1}.downsample.{merging.Groups[2].Value}"
            : name;
    }

    [GeneratedRegex(@"^layers\.(\d{1,4})\.downsample\.(.+)$")]
    private static partial Regex Merging();
}

/// <summary>timm's Swin of today with the index buffers that some files keep.</summary>
internal sealed class CurrentSwin() : KeyMap("timm's Swin with index buffers")
{
    public override bool Describes(IReadOnlySet<string> names) => names.Any(SwinBuffers.Has);

    public override string? ToTimm(string name) => SwinBuffers.Has(name) ? null : name;
}

/// <summary>What Swin files hold beside weights, and follows from the window's size.</summary>
internal static class SwinBuffers
{
    public static bool Has(string name) =>
        name.EndsWith(".relative_position_index", StringComparison.Ordinal) || name.EndsWith(".attn_mask", StringComparison.Ordinal);

    /// <summary>
    /// For each pair of positions in a window, query first, the row of the bias table for their distance:
    /// (dy + w - 1)(2w - 1) + dx + w - 1, flattened to [w^4].
    /// </summary>
    /// <param name="window">w, the window's side.</param>
    public static long[] RelativePositionIndex(int window)
    {
        int positions = window * window, side = (2 * window) - 1;
        var index = new long[positions * positions];
        for (int query = 0; query < positions; query++)
        {
            for (int key = 0; key < positions; key++)
            {
                int dy = (query / window) - (key / window), dx = (query % window) - (key % window);
                index[(query * positions) + key] = ((dy + window - 1) * side) + dx + window - 1;
            }
        }
        return index;
    }
}
