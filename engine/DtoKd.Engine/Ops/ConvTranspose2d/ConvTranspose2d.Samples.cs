using static DtoKd.Engine.OpInput;

namespace DtoKd.Engine;

public static partial class Op
{
    internal static OpDeclaration ConvTranspose2dDeclaration => new(nameof(ConvTranspose2d))
    {
        Samples =
        [
            new("2 x 2 stride 2", [Float(2, 3, 3, 4), Float(3, 4, 2, 2), Float(4)],
                t => ConvTranspose2d(t[0], t[1], t[2], stride: 2)),
            new("groups", [Float(2, 4, 3, 3), Float(4, 3, 3, 3), Float(6)],
                t => ConvTranspose2d(t[0], t[1], t[2], stride: 2, padding: 1, outputPadding: 1, groups: 2)),
            new("uneven", [Float(1, 2, 3, 4), Float(2, 2, 3, 2)],
                t => ConvTranspose2d(t[0], t[1], stride: (3, 1), padding: (1, 0), outputPadding: (2, 0), dilation: (1, 2))),
        ],
        Errors =
        [
            new("rank", [Float(3, 4, 4), Float(3, 2, 3, 3)], t => ConvTranspose2d(t[0], t[1]), "expected [N, C, H, W]"),
            new("channels", [Float(1, 3, 4, 4), Float(2, 3, 3, 3)],
                t => ConvTranspose2d(t[0], t[1]), "weight [2, 3, 3, 3] does not fit x"),
            new("bias", [Float(1, 3, 4, 4), Float(3, 2, 3, 3), Float(3)],
                t => ConvTranspose2d(t[0], t[1], t[2]), "bias has shape [3]"),
            new("output padding", [Float(1, 3, 4, 4), Float(3, 2, 3, 3)],
                t => ConvTranspose2d(t[0], t[1], stride: 2, outputPadding: 2), "output padding (2, 2)"),
            new("nothing left", [Float(1, 3, 1, 1), Float(3, 2, 3, 3)],
                t => ConvTranspose2d(t[0], t[1], padding: 2), "-1 x -1 pixels"),
        ],
    };
}
