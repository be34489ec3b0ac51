using System.Text.RegularExpressions;

namespace DtoKd.Models.Checkpoints;

/// <summary>torchvision's vision transformer, for the plain DeiT: <c>encoder.layers.encoder_layer_0.ln_1</c> is <c>blocks.0.norm1</c>.</summary>
internal sealed partial class TorchvisionVit() : WritableKeyMap("torchvision ViT")
{
    private static readonly (string Theirs, string Timm)[] _outside =
    [
        ("class_token", "cls_token"), ("encoder.pos_embedding", "pos_embed"), ("conv_proj.", "patch_embed.proj."),
        ("encoder.ln.", "norm."), ("heads.head.", "head."),
    ];

    private static readonly (string Theirs, string Timm)[] _inside =
    [
        ("ln_1.", "norm1."), ("ln_2.", "norm2."), ("self_attention.in_proj_", "attn.qkv."),
        ("self_attention.out_proj.", "attn.proj."), ("mlp.0.", "mlp.fc1."), ("mlp.3.", "mlp.fc2."),
        // Of torchvision before 0.13; files are written with the names above.
        ("mlp.linear_1.", "mlp.fc1."), ("mlp.linear_2.", "mlp.fc2."),
    ];

    public override bool Describes(IReadOnlySet<string> names) => names.Contains("encoder.pos_embedding");

    public override string ToTimm(string name)
    {
        if (Layer().Match(name) is not { Success: true } layer)
            return Renamed(name, _outside, pair => pair.Theirs, pair => pair.Timm);
        string rest = layer.Groups[2].Value;
        return $"blocks.{layer.Groups[1].Value}.{Renamed(rest, _inside, pair => pair.Theirs, pair => pair.Timm)}";
    }

    public override bool CanName(IReadOnlySet<string> timmNames) =>
        timmNames.Contains("blocks.0.attn.qkv.weight") && timmNames.Contains("cls_token") && !timmNames.Contains("dist_token");

    public override string FromTimm(string name)
    {
        if (Block().Match(name) is not { Success: true } block)
            return Renamed(name, _outside, pair => pair.Timm, pair => pair.Theirs);
        string rest = block.Groups[2].Value;
        return $"encoder.layers.encoder_layer_{block.Groups[1].Value}.{Renamed(rest, _inside, pair => pair.Timm, pair => pair.Theirs)}";
    }

    private static string Renamed(
        string name,
        (string Theirs, string Timm)[] pairs,
        Func<(string Theirs, string Timm), string> from,
        Func<(string Theirs, string Timm), string> to)
    {
        foreach (var pair in pairs)
        {
            if (name.StartsWith(from(pair), StringComparison.Ordinal))
                return to(pair) + name[from(pair).Length..];
        }
        return name;
    }

    [GeneratedRegex(@"^encoder\.layers\.encoder_layer_(\d{1,4})\.(.+)$")]
    private static partial Regex Layer();

    [GeneratedRegex(@"^blocks\.(\d{1,4})\.(.+)$")]
    private static partial Regex Block();
}
