namespace DtoKd.Engine.Tests.Fixtures;

internal static partial class OpMap
{
    private static Dictionary<string, OpFunction> Models => new()
    {
        ["sdpa"] = c => [Op.Attention(c["q"], c["k"], c["v"], c.Optional("bias"), AttentionMask(c))],
        ["vit_block"] = c => [VitBlock(c)],
        ["patch_merging"] = c => [PatchMerging(c["x"], c["nw"], c["nb"], c["w"])],
        ["squeeze_excite"] = c => [Op.SqueezeExcite(c["x"], c["w1"], c["b1"], c["w2"], c["b2"])],
        ["swin_relative_position_bias"] = c => [Op.RelativePositionBias(c["table"], c.Ints("window")[0], c.Ints("window")[1])],
        ["swin_relative_position_index"] = c => [Op.RelativePositionIndex(c.Step, c.Ints("window")[0], c.Ints("window")[1])],
        ["swin_shift_mask"] = c => [Op.ShiftMask(
            c.Step, c.Int("h"), c.Int("w"), c.Int("window"), c.Int("shift"), c.Int("shift"), c.Floats)],
    };

    private static Tensor? AttentionMask(OpCall c)
    {
        if (c.Text("kind") != "causal")
            return c.Optional("mask");
        int queries = c["q"].Shape[-2], keys = c["k"].Shape[-2];
        bool[] allowed = [.. Enumerable.Range(0, queries * keys).Select(i => i % keys <= i / keys)];
        return c.Step.From(allowed, [queries, keys]);
    }

    private static Tensor VitBlock(OpCall c)
    {
        var x = c["x"];
        var normed = Op.LayerNorm(x, c["n1w"], c["n1b"], c.Number("eps"));
        var attended = Op.SelfAttention(Op.Linear(normed, c["qkvw"], c["qkvb"]), c.Int("heads"));
        x = Op.Linear(attended, c["pw"], c["pb"], x);
        normed = Op.LayerNorm(x, c["n2w"], c["n2b"], c.Number("eps"));
        return Op.Mlp(normed, c["w1"], c["b1"], c["w2"], c["b2"], x);
    }

    private static Tensor PatchMerging(Tensor x, Tensor normWeight, Tensor normBias, Tensor weight) =>
        Op.Linear(Op.LayerNorm(Op.PatchMerging(x), normWeight, normBias), weight);
}
