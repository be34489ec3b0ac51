using static DtoKd.Engine.OpInput;

namespace DtoKd.Engine;

public static partial class Op
{
    internal static OpDeclaration MaxPool2dDeclaration => new(nameof(MaxPool2d))
    {
        Samples =
        [
            new("2 x 2", [Float(2, 3, 6, 4)], t => MaxPool2d(t[0], 2)),
            new("3 x 3 stride 2", [Float(2, 3, 7, 8)], t => MaxPool2d(t[0], 3, 2, 1)),
            new("overlapping", [Float(1, 2, 5, 5)], t => MaxPool2d(t[0], 3, 1, 1)),
            new("uneven", [Float(1, 2, 7, 9)], t => MaxPool2d(t[0], (3, 2), (2, 3), (1, 0), ceilMode: true)),
            new("dilation", [Float(1, 2, 7, 8)], t => MaxPool2d(t[0], 2, 1, dilation: (2, 3))),
            new("no images", [Float(0, 2, 4, 4)], t => MaxPool2d(t[0], 2)),
            new("many planes", [Float(9, 31, 16, 16)], t => MaxPool2d(t[0], 3, 2, 1)) { GradCheck = false },
        ],
        Errors =
        [
            new("rank", [Float(3, 4, 4)], t => MaxPool2d(t[0], 2), "x has shape [3, 4, 4], expected [N, C, H, W]"),
            new("padding", [Float(1, 3, 4, 4)], t => MaxPool2d(t[0], 2, padding: 2), "more than half of kernel (2, 2)"),
            new("kernel", [Float(1, 3, 4, 4)], t => MaxPool2d(t[0], 5), "kernel (5, 5) with dilation (1, 1) is larger"),
            new("stride", [Float(1, 3, 4, 4)], t => MaxPool2d(t[0], 2, 0), "stride (0, 0)"),
        ],
    };

    internal static OpDeclaration AdaptiveMaxPool2dDeclaration => new(nameof(AdaptiveMaxPool2d))
    {
        Samples =
        [
            new("3 x 4 of 7 x 9", [Float(2, 2, 7, 9)], t => AdaptiveMaxPool2d(t[0], (3, 4))),
            new("larger than the image", [Float(1, 2, 2, 3)], t => AdaptiveMaxPool2d(t[0], 5)),
        ],
        Errors = [new("size", [Float(1, 3, 4, 4)], t => AdaptiveMaxPool2d(t[0], 0), "output size (0, 0)")],
    };

    internal static OpDeclaration AvgPool2dDeclaration => new(nameof(AvgPool2d))
    {
        Samples =
        [
            new("2 x 2", [Float(2, 3, 6, 4)], t => AvgPool2d(t[0], 2)),
            new("with padding", [Float(2, 3, 7, 8)], t => AvgPool2d(t[0], 3, 2, 1)),
            new("without padding", [Float(2, 3, 7, 8)], t => AvgPool2d(t[0], 3, 2, 1, countIncludePad: false)),
            new("beyond the padding", [Float(1, 2, 6, 8)], t => AvgPool2d(t[0], (3, 2), (2, 3), 1, ceilMode: true)),
            new("no images", [Float(0, 2, 4, 4)], t => AvgPool2d(t[0], 2)),
            new("many planes", [Float(9, 31, 16, 16)], t => AvgPool2d(t[0], 3, 2, 1)) { GradCheck = false },
        ],
        Errors =
        [
            new("rank", [Float(3, 4, 4)], t => AvgPool2d(t[0], 2), "x has shape [3, 4, 4], expected [N, C, H, W]"),
            new("padding", [Float(1, 3, 4, 4)], t => AvgPool2d(t[0], (4, 2), padding: (1, 2)), "padding (1, 2) is more than"),
        ],
    };

    internal static OpDeclaration AdaptiveAvgPool2dDeclaration => new(nameof(AdaptiveAvgPool2d))
    {
        Samples =
        [
            new("3 x 5 of 7 x 9", [Float(2, 2, 7, 9)], t => AdaptiveAvgPool2d(t[0], (3, 5))),
            new("larger than the image", [Float(1, 2, 2, 3)], t => AdaptiveAvgPool2d(t[0], 5)),
            new("one", [Float(2, 3, 4, 5)], t => AdaptiveAvgPool2d(t[0], 1)),
        ],
        Errors = [new("empty", [Float(1, 3, 0, 4)], t => AdaptiveAvgPool2d(t[0], 1), "of x [1, 3, 0, 4]")],
    };

    internal static OpDeclaration GlobalAvgPoolDeclaration => new(nameof(GlobalAvgPool))
    {
        Samples =
        [
            new("5 x 4", [Float(2, 3, 5, 4)], t => GlobalAvgPool(t[0])),
            new("with axes", [Float(2, 3, 5, 4)], t => GlobalAvgPool(t[0], keepAxes: true)),
        ],
        Errors =
        [
            new("rank", [Float(3, 4, 4)], t => GlobalAvgPool(t[0]), "expected [N, C, H, W]"),
            new("empty", [Float(1, 3, 0, 4)], t => GlobalAvgPool(t[0]), "images without pixels"),
        ],
    };
}
