namespace DtoKd.Engine.Tests.Fixtures;

internal static partial class OpMap
{
    private static Dictionary<string, OpFunction> Images => new()
    {
        ["conv2d"] = c => [Op.Conv2d(
            c["x"],
            c["w"],
            c.Optional("b"),
            PairOf(c, "stride"),
            PairOf(c, "padding"),
            PairOf(c, "dilation"),
            c.Int("groups"))],
        ["conv1d"] = c => [Op.Conv1d(
            c["x"],
            c["w"],
            c.Optional("b"),
            c.Ints("stride")[0],
            c.Ints("padding")[0],
            c.Ints("dilation")[0],
            c.Int("groups"))],
        ["conv_transpose2d"] = c => [Op.ConvTranspose2d(
            c["x"],
            c["w"],
            c.Optional("b"),
            PairOf(c, "stride"),
            PairOf(c, "padding"),
            PairOf(c, "output_padding"),
            groups: c.Int("groups"))],
        ["max_pool2d"] = c => [Op.MaxPool2d(
            c["x"],
            PairOf(c, "kernel"),
            PairOf(c, "stride"),
            PairOf(c, "padding"),
            PairOf(c, "dilation"),
            c.Flag("ceil_mode"))],
        ["avg_pool2d"] = c => [Op.AvgPool2d(
            c["x"],
            PairOf(c, "kernel"),
            PairOf(c, "stride"),
            PairOf(c, "padding"),
            c.Flag("ceil_mode"),
            c.Flag("count_include_pad"))],
        ["adaptive_avg_pool2d"] = c => [Op.AdaptiveAvgPool2d(c["x"], PairOf(c, "output_size"))],
        ["adaptive_max_pool2d"] = c => [Op.AdaptiveMaxPool2d(c["x"], PairOf(c, "output_size"))],
        ["unfold"] = c => [Op.Unfold(
            c["x"],
            PairOf(c, "kernel"),
            PairOf(c, "stride"),
            PairOf(c, "padding"),
            PairOf(c, "dilation"))],
        ["pixel_shuffle"] = c => [Op.PixelShuffle(c["x"], c.Int("upscale_factor"))],
        ["interpolate"] = c => [Interpolate(c)],
        ["grid_sample"] = c => [Op.GridSample(
            c["x"],
            c["grid"],
            Enum.Parse<SampleMode>(c.Text("mode"), ignoreCase: true),
            Enum.Parse<SamplePadding>(c.Text("padding_mode"), ignoreCase: true),
            c.Flag("align_corners"))],
        ["ms_deform_attn"] = c => [Op.MultiScaleDeformableAttention(
            c["value"],
            [.. c["spatial_shapes"].ToArray<long>().Chunk(2).Select(size => new Pair((int)size[0], (int)size[1]))],
            c["loc"],
            c["w"])],
    };

    private static Tensor Interpolate(OpCall c)
    {
        var mode = Enum.Parse<ResizeMode>(c.Text("mode"), ignoreCase: true);
        return c.Has("scale_factor")
            ? Op.InterpolateBy(c["x"], c.Number("scale_factor"), mode, c.Flag("align_corners"), c.Flag("antialias"))
            : Op.Interpolate(c["x"], PairOf(c, "size"), mode, c.Flag("align_corners"), c.Flag("antialias"));
    }

    private static Pair PairOf(OpCall c, string name) => (c.Ints(name)[0], c.Ints(name)[1]);
}
