using static DtoKd.Engine.OpInput;

namespace DtoKd.Engine;

public static partial class Op
{
    internal static OpDeclaration InterpolateDeclaration => new(nameof(Interpolate), nameof(InterpolateBy))
    {
        Samples =
        [
            new("bilinear, larger", [Float(2, 3, 5, 7)], t => Interpolate(t[0], (8, 9))),
            new("bilinear, smaller", [Float(1, 2, 9, 11)], t => Interpolate(t[0], (4, 5))),
            new("bilinear, corners aligned", [Float(1, 2, 4, 5)], t => Interpolate(t[0], (7, 3), alignCorners: true)),
            new("bilinear, antialiased", [Float(1, 2, 9, 11)], t => Interpolate(t[0], (4, 17), antialias: true)),
            new("bicubic, larger", [Float(2, 2, 5, 3)], t => Interpolate(t[0], (8, 9), ResizeMode.Bicubic)),
            new("bicubic, corners aligned", [Float(1, 2, 7, 6)], t => Interpolate(t[0], (4, 9), ResizeMode.Bicubic, true)),
            new("bicubic, antialiased", [Float(1, 2, 13, 10)], t => Interpolate(t[0], (5, 17), ResizeMode.Bicubic, false, true)),
            new("nearest", [Float(1, 2, 5, 6)], t => Interpolate(t[0], (7, 4), ResizeMode.Nearest)),
            new("one pixel", [Float(1, 2, 1, 1)], t => Interpolate(t[0], (2, 3), ResizeMode.Bicubic)),
            new("to one pixel", [Float(1, 2, 7, 5)], t => Interpolate(t[0], 1, alignCorners: true)),
            new("no image", [Float(0, 2, 7, 5)], t => Interpolate(t[0], 3)),
            new("by a factor", [Float(1, 2, 5, 6)], t => InterpolateBy(t[0], 1.7)),
            new("by half, nearest", [Float(1, 2, 5, 6)], t => InterpolateBy(t[0], 0.5, ResizeMode.Nearest)),
            new("a wide image", [Float(3, 2, 40, 67)], t => Interpolate(t[0], (56, 33), ResizeMode.Bicubic, antialias: true))
            {
                GradCheck = false,
            },
        ],
        Errors =
        [
            new("rank", [Float(3, 4, 4)], t => Interpolate(t[0], 2), "x has shape [3, 4, 4], expected [N, C, H, W]"),
            new("size", [Float(1, 1, 4, 4)], t => Interpolate(t[0], (0, 3)), "size (0, 3)"),
            new("empty", [Float(1, 1, 0, 4)], t => Interpolate(t[0], 3), "at least 1 of 1 pixel"),
            new("scale", [Float(1, 1, 4, 4)], t => InterpolateBy(t[0], 0.1), "scale 0.1 of x [1, 1, 4, 4]"),
            new("nearest", [Float(1, 1, 4, 4)], t => Interpolate(t[0], 2, ResizeMode.Nearest, true), "mode Nearest neither"),
            new("corners", [Float(1, 1, 4, 4)], t => Interpolate(t[0], 2, alignCorners: true, antialias: true), "aligned corners"),
        ],
    };
}
