using DtoKd.Engine;

namespace DtoKd.Models;

/// <summary>Lets the groups of a grouped convolution see each other (Zhang et al. 2018, figure 1).</summary>
internal static class ChannelShuffle
{
    /// <summary>[N, C, H, W]: channel i of group g comes to lie at i groups + g.</summary>
    public static Tensor Apply(Tensor x, int groups)
    {
        if (groups == 1)
            return x;
        int channels = x.Shape[1];
        var grouped = Op.Reshape(x, [x.Shape[0], groups, channels / groups, x.Shape[2], x.Shape[3]]);
        return Op.Reshape(Op.Transpose(grouped, 1, 2), x.Shape);
    }
}
