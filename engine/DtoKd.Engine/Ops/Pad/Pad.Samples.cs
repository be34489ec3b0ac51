using static DtoKd.Engine.OpInput;

namespace DtoKd.Engine;

public static partial class Op
{
    internal static OpDeclaration PadDeclaration => new(nameof(Pad))
    {
        Samples =
        [
            new("two axes", [Float(2, 3, 4)], t => Pad(t[0], [1, 2, 0, 3], 0.5)),
            new("cut off", [Float(4, 5)], t => Pad(t[0], [-1, 2, -2, 0])),
            new("cut off all", [Float(4, 5)], t => Pad(t[0], [-5, 3], 2)),
            new("a map with channels last", [Float(1, 3, 3, 5)], t => Pad(t[0], [0, 0, 0, 1, 0, 1])),
            new("of nothing", [Float(0, 2)], t => Pad(t[0], [1, 1, 1, 0], 3)),
            new("no pads", [Float(2)], t => Pad(t[0], [])),
            new("mask", [Mask(3, 4)], t => Pad(t[0], [0, 2], 1)),
            new("indices", [Index(5, 4)], t => Pad(t[0], [1, 0], -100)),
        ],
        Errors =
        [
            new("too many", [Float(3)], t => Pad(t[0], [1, 1, 1, 1]), "4 pads for shape [3]"),
            new("odd", [Float(3, 3)], t => Pad(t[0], [1, 1, 1]), "3 pads"),
            new("too much", [Float(3)], t => Pad(t[0], [-2, -2]), "(-2, -2) cuts too much off axis 0 of [3]"),
            new("more than there is", [Float(3)], t => Pad(t[0], [-4, 9]), "(-4, 9) cuts too much off"),
        ],
    };
}
