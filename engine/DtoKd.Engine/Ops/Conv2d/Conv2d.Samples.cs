using static DtoKd.Engine.OpInput;

namespace DtoKd.Engine;

public static partial class Op
{
    internal static OpDeclaration Conv2dDeclaration => new(nameof(Conv2d))
    {
        Samples =
        [
            new("3 x 3", [Float(2, 3, 5, 6), Float(4, 3, 3, 3), Float(4)], t => Conv2d(t[0], t[1], t[2], padding: 1)),
            new("1 x 1", [Float(2, 5, 3, 3), Float(6, 5, 1, 1), Float(6)], t => Conv2d(t[0], t[1], t[2])),
            new("1 x 1 stride 2", [Float(2, 2, 5, 4), Float(3, 2, 1, 1)], t => Conv2d(t[0], t[1], stride: 2)),
            new("stride 2", [Float(1, 2, 6, 5), Float(2, 2, 3, 3)], t => Conv2d(t[0], t[1], stride: 2, padding: 1)),
            new("uneven", [Float(2, 2, 7, 9), Float(3, 2, 3, 2), Float(3)],
                t => Conv2d(t[0], t[1], t[2], stride: (3, 1), padding: (2, 0), dilation: (1, 3))),
            new("dilation and stride", [Float(1, 1, 9, 9), Float(1, 1, 3, 3)],
                t => Conv2d(t[0], t[1], stride: (2, 3), padding: 3, dilation: 2)),
            new("padding beyond the kernel", [Float(1, 2, 2, 3), Float(2, 2, 2, 2)], t => Conv2d(t[0], t[1], padding: 3)),
            new("stride beyond the kernel", [Float(1, 2, 9, 8), Float(2, 2, 2, 1)], t => Conv2d(t[0], t[1], stride: (4, 3))),
            new("groups", [Float(2, 4, 5, 5), Float(6, 2, 3, 3), Float(6)], t => Conv2d(t[0], t[1], t[2], padding: 1, groups: 2)),
            new("depthwise", [Float(2, 3, 5, 4), Float(3, 1, 3, 3), Float(3)],
                t => Conv2d(t[0], t[1], t[2], padding: 1, groups: 3)),
            new("depthwise, two per channel", [Float(1, 3, 4, 8), Float(6, 1, 2, 3)],
                t => Conv2d(t[0], t[1], stride: 2, groups: 3)),
            new("patches", [Float(1, 3, 8, 8), Float(5, 3, 4, 4), Float(5)], t => Conv2d(t[0], t[1], t[2], stride: 4)),
            new("one pixel", [Float(3, 2, 1, 1), Float(2, 2, 3, 3)], t => Conv2d(t[0], t[1], padding: 1)),
            new("no images", [Float(0, 2, 4, 4), Float(2, 2, 3, 3), Float(2)], t => Conv2d(t[0], t[1], t[2])),
            new("no channels", [Float(2, 0, 4, 4), Float(2, 0, 3, 3), Float(2)], t => Conv2d(t[0], t[1], t[2])),
            new("batches of small images", [Float(21, 8, 4, 4), Float(9, 8, 3, 3), Float(9)],
                t => Conv2d(t[0], t[1], t[2], padding: 1)) { GradCheck = false },
            new("grouped 8 x 8", [Float(7, 16, 8, 8), Float(16, 8, 3, 3)],
                t => Conv2d(t[0], t[1], padding: 1, groups: 2)) { GradCheck = false },
            new("bands of rows", [Float(2, 16, 61, 43), Float(7, 16, 5, 3), Float(7)],
                t => Conv2d(t[0], t[1], t[2], stride: (1, 2), padding: 2)) { GradCheck = false },
            new("deep", [Float(3, 70, 7, 7), Float(13, 70, 3, 3), Float(13)],
                t => Conv2d(t[0], t[1], t[2], padding: 1)) { GradCheck = false },
            new("tiles", [Float(3, 18, 9, 7), Float(17, 18, 3, 3), Float(17)],
                t => Conv2d(t[0], t[1], t[2], padding: 1)) { GradCheck = false },
            new("tiles in groups, no padding", [Float(2, 36, 12, 20), Float(32, 18, 3, 3)],
                t => Conv2d(t[0], t[1], groups: 2)) { GradCheck = false },
            new("tiles, wide padding, many channels", [Float(2, 140, 6, 33), Float(20, 140, 3, 3)],
                t => Conv2d(t[0], t[1], padding: (2, 1))) { GradCheck = false },
            new("tiles read twice", [Float(2, 16, 8, 8), Float(16, 16, 3, 3)],
                t => Conv2d(t[0], t[1], padding: 1) + Conv2d(t[0], t[1], padding: 1)) { GradCheck = false },
            new("panels, stride 2", [Float(3, 24, 13, 12), Float(28, 12, 3, 3)],
                t => Conv2d(t[0], t[1], stride: 2, padding: 1, groups: 2)) { GradCheck = false },
            new("panels, stride 3, dilation", [Float(2, 12, 17, 40), Float(13, 12, 2, 3), Float(13)],
                t => Conv2d(t[0], t[1], t[2], stride: (1, 3), padding: (0, 2), dilation: (3, 2))) { GradCheck = false },
            new("panels, 5 x 5", [Float(2, 13, 9, 11), Float(15, 13, 5, 5)],
                t => Conv2d(t[0], t[1], padding: 2)) { GradCheck = false },
            new("panels, 1 x 1", [Float(3, 200, 7, 7), Float(50, 200, 1, 1), Float(50)],
                t => Conv2d(t[0], t[1], t[2])) { GradCheck = false },
        ],
        Errors =
        [
            new("rank of x", [Float(3, 4, 4), Float(2, 3, 3, 3)],
                t => Conv2d(t[0], t[1]), "x has shape [3, 4, 4], expected [N, C, H, W]"),
            new("rank of weight", [Float(1, 3, 4, 4), Float(2, 27)], t => Conv2d(t[0], t[1]), "weight has shape [2, 27]"),
            new("channels", [Float(1, 3, 4, 4), Float(2, 4, 3, 3)],
                t => Conv2d(t[0], t[1]), "x [1, 3, 4, 4] and weight [2, 4, 3, 3]"),
            new("groups", [Float(1, 4, 4, 4), Float(3, 2, 3, 3)], t => Conv2d(t[0], t[1], groups: 2), "do not fit 2 groups"),
            new("bias", [Float(1, 3, 4, 4), Float(2, 3, 3, 3), Float(3)],
                t => Conv2d(t[0], t[1], t[2]), "bias has shape [3], expected [2]"),
            new("kernel", [Float(1, 3, 4, 4), Float(2, 3, 5, 3)],
                t => Conv2d(t[0], t[1]), "kernel (5, 3) with dilation (1, 1) is larger"),
            new("stride", [Float(1, 3, 4, 4), Float(2, 3, 3, 3)], t => Conv2d(t[0], t[1], stride: (1, 0)), "stride (1, 0)"),
            new("type", [Float(1, 3, 4, 4), Index(3, 2, 3, 3, 3)], t => Conv2d(t[0], t[1]), "types F32 and I64"),
        ],
    };
}
