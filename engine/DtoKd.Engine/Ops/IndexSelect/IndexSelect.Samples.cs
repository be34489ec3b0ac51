using static DtoKd.Engine.OpInput;

namespace DtoKd.Engine;

public static partial class Op
{
    internal static OpDeclaration IndexSelectDeclaration => new(nameof(IndexSelect))
    {
        Samples =
        [
            new("table", [Float(5, 3), Index(5, 11)], t => IndexSelect(t[0], 0, t[1])),
            new("middle axis", [Float(2, 4, 3), Index(4, 6)], t => IndexSelect(t[0], 1, t[1])),
            new("last axis", [Float(2, 4), Index(4, 3)], t => IndexSelect(t[0], -1, t[1])),
            new("no index", [Float(5, 3), Index(5, 0)], t => IndexSelect(t[0], 0, t[1])),
            new("masks", [Mask(5, 3), Index(5, 4)], t => IndexSelect(t[0], 0, t[1])),
            new("long rows", [Float(7, 2500), Index(7, 20)], t => IndexSelect(t[0], 0, t[1])) { GradCheck = false },
        ],
        Errors =
        [
            new("range", [Float(2, 4), Index(1, 3)], t => IndexSelect(t[0], 0, Pad(t[1], [0, 1], 2)),
                "index 2 at position 3 is not in 0 .. 1"),
            new("negative", [Float(2, 4), Index(1, 3)], t => IndexSelect(t[0], 0, Pad(t[1], [1, 0], -1)),
                "index -1 at position 0"),
            new("index", [Float(2, 4), Index(1, 3, 1)], t => IndexSelect(t[0], 0, t[1]), "expected I64 [n]"),
        ],
    };
}
