using static DtoKd.Engine.OpInput;

namespace DtoKd.Engine;

public static partial class Op
{
    /// <summary>
    /// Channels to pixels: y[n, c, h r + i, w r + j] = x[n, c r r + i r + j, h, w] (Shi et al., "Real-Time Single Image and Video
    /// Super-Resolution Using an Efficient Sub-Pixel Convolutional Neural Network", 2016).
    /// </summary>
    /// <param name="x">Images [N, C, H, W] with C a multiple of r r.</param>
    /// <param name="factor">r.</param>
    /// <returns>[N, C / (r r), H r, W r].</returns>
    /// <exception cref="ArgumentException">Not [N, C, H, W], or C is no multiple of r r.</exception>
    public static Tensor PixelShuffle(Tensor x, int factor)
    {
        PoolWindows.RequireImages("pixel_shuffle", x);
        if (factor < 1 || x.Shape[1] % (factor * factor) != 0)
            throw new ArgumentException($"pixel_shuffle: x {x.Shape} with factor {factor}, expected C a multiple of its square");
        int n = x.Shape[0], c = x.Shape[1] / (factor * factor), h = x.Shape[2], w = x.Shape[3];
        var parts = Permute(Reshape(x, [n, c, factor, factor, h, w]), 0, 1, 4, 2, 5, 3);
        return Reshape(parts, [n, c, h * factor, w * factor]);
    }

    internal static OpDeclaration PixelShuffleDeclaration => new(nameof(PixelShuffle))
    {
        Samples =
        [
            new("2", [Float(2, 8, 2, 3)], t => PixelShuffle(t[0], 2)),
            new("3", [Float(1, 9, 1, 2)], t => PixelShuffle(t[0], 3)),
        ],
        Errors = [new("channels", [Float(1, 6, 2, 2)], t => PixelShuffle(t[0], 2), "x [1, 6, 2, 2] with factor 2")],
    };
}
