namespace DtoKd.Engine.Tests.Fixtures;

internal static partial class OpMap
{
    private static Dictionary<string, OpFunction> Norms => new()
    {
        ["softmax"] = c => [Op.Softmax(c["x"], c.Int("dim"))],
        ["log_softmax"] = c => [Op.LogSoftmax(c["x"], c.Int("dim"))],
        ["layer_norm"] = c => [Op.LayerNorm(
            c["x"], c.Optional("w"), c.Optional("b"), c.Number("eps"), c.Ints("normalized_shape").Length)],
        ["group_norm"] = c => [Op.GroupNorm(c["x"], c.Int("num_groups"), c["w"], c["b"], c.Number("eps"))],
        ["batch_norm"] = BatchNorm,
        ["batch_norm_add_relu"] = BatchNorm,
        ["normalize"] = c => [Op.Normalize(c["x"], c.Number("p"), c.Int("dim"), c.Number("eps"))],
        ["conv2d_batch_norm_add_relu"] = c => [Op.Conv2dNorm(
            c["x"],
            c["k"],
            new FixedNorm(c["w"], c["b"], c["running_mean"], c["running_var"], c.Number("eps")),
            c.Optional("r"),
            c.Flag("relu"),
            c.Int("stride"),
            c.Int("padding"),
            c.Int("groups"))],
    };

    private static Tensor[] BatchNorm(OpCall c)
    {
        var y = Op.BatchNorm(
            c["x"],
            c["w"],
            c["b"],
            c["running_mean"],
            c["running_var"],
            c.Flag("training"),
            c.Number("momentum"),
            c.Number("eps"),
            c.Optional("r"),
            c.Flag("relu"));
        // One case stores only the result.
        return c.Outputs == 1 ? [y] : [y, c["running_mean"], c["running_var"]];
    }
}
