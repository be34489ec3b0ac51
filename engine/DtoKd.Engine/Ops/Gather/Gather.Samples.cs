using static DtoKd.Engine.OpInput;

namespace DtoKd.Engine;

public static partial class Op
{
    internal static OpDeclaration GatherDeclaration => new(nameof(Gather), nameof(OneHot))
    {
        Samples =
        [
            new("middle axis", [Float(2, 4, 3), Index(4, 2, 5, 3)], t => Gather(t[0], 1, t[1])),
            new("smaller index", [Float(3, 4, 5), Index(5, 2, 3, 7)], t => Gather(t[0], -1, t[1])),
            new("one per row", [Float(6, 4), Index(4, 6, 1)], t => Gather(t[0], 1, t[1])),
            new("nothing", [Float(3, 4), Index(4, 0, 4)], t => Gather(t[0], 0, t[1])),
            new("masks", [Mask(3, 4), Index(4, 3, 2)], t => Gather(t[0], 1, t[1])),
            new("indices", [Index(9, 3, 4), Index(4, 3, 2)], t => Gather(t[0], 1, t[1])),
            new("one hot", [Index(4, 2, 3)], t => OneHot(t[0], 4)),
            new("one hot integers", [Index(4, 3)], t => OneHot(t[0], 5, DType.I64)),
        ],
        Errors =
        [
            new("range", [Float(2, 3), Index(9, 2, 3)], t => Gather(t[0], 1, Pad(t[1], [1, -1], 5)),
                "index 5 at position 0 is not in 0 .. 2"),
            new("shape", [Float(2, 3), Index(3, 3, 3)], t => Gather(t[0], 1, t[1]), "for [2, 3] along axis 1"),
            new("rank", [Float(2, 3), Index(3, 2)], t => Gather(t[0], 1, t[1]), "for [2, 3] along axis 1"),
            new("one hot", [Index(1, 2)], t => OneHot(Pad(t[0], [0, 1], 4), 4), "index 4 at position 2 is not in 0 .. 3"),
            new("one hot of floats", [Float(2)], t => OneHot(t[0], 4), "expected I64"),
        ],
    };
}
