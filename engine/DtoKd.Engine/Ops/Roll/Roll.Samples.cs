using static DtoKd.Engine.OpInput;

namespace DtoKd.Engine;

public static partial class Op
{
    internal static OpDeclaration RollDeclaration => new(nameof(Roll), nameof(Flip), nameof(Repeat))
    {
        Samples =
        [
            new("a map", [Float(2, 5, 4, 3)], t => Roll(t[0], [-2, -1], [1, 2])),
            new("beyond the size", [Float(5, 3)], t => Roll(t[0], [12, -7], [0, -1])),
            new("an axis twice", [Float(5)], t => Roll(t[0], [1, 2], [0, 0])),
            new("by the size", [Float(5, 2)], t => Roll(t[0], [5], [0])),
            new("of nothing", [Float(0, 2)], t => Roll(t[0], [1, 1], [0, 1])),
            new("indices", [Index(9, 7)], t => Roll(t[0], [3], [0])),
            new("flip", [Float(3, 4, 2)], t => Flip(t[0], 0, -1)),
            new("flip of nothing", [Float(0, 2)], t => Flip(t[0], 0)),
            new("repeat", [Float(2, 3)], t => Repeat(t[0], 2, 1, 3)),
            new("repeat rows", [Float(1, 3)], t => Repeat(t[0], 4, 1)),
            new("repeat not at all", [Float(2, 3)], t => Repeat(t[0], 0, 1)),
        ],
        Errors =
        [
            new("numbers", [Float(3)], t => Roll(t[0], [1, 2], [0]), "2 shifts for 1 axes"),
            new("axis", [Float(3)], t => Roll(t[0], [1], [1]), "no axis 1"),
            new("flip", [Float(3, 3)], t => Flip(t[0], 1, -1), "axis 1 stands twice"),
            new("repeat", [Float(3, 3)], t => Repeat(t[0], 2), "1 numbers for shape [3, 3]"),
            new("repeat less than never", [Float(3)], t => Repeat(t[0], -1), "-1 times along axis 0"),
        ],
    };
}
