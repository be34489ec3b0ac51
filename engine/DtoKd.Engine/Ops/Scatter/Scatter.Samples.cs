using static DtoKd.Engine.OpInput;

namespace DtoKd.Engine;

public static partial class Op
{
    internal static OpDeclaration ScatterDeclaration => new(nameof(Scatter), nameof(ScatterAdd), nameof(IndexAdd))
    {
        Samples =
        [
            new("middle axis, some places twice", [Float(2, 4, 3), Index(4, 2, 5, 3), Float(2, 5, 3)],
                t => Scatter(t[0], 1, t[1], t[2])),
            new("smaller index", [Float(3, 4, 5), Index(5, 2, 3, 2), Float(2, 3, 2)], t => Scatter(t[0], -1, t[1], t[2])),
            new("nothing", [Float(3, 4), Index(3, 0, 4), Float(0, 4)], t => Scatter(t[0], 0, t[1], t[2])),
            new("masks", [Mask(3, 4), Index(4, 3, 2), Mask(3, 2)], t => Scatter(t[0], 1, t[1], t[2])),
            new("indices", [Index(9, 5), Index(5, 3), Index(9, 3)], t => Scatter(t[0], 0, t[1], t[2])),
            new("add along the middle axis", [Float(2, 4, 3), Index(4, 2, 9, 3), Float(2, 9, 3)],
                t => ScatterAdd(t[0], 1, t[1], t[2])),
            new("add by a smaller index", [Float(3, 4, 5), Index(5, 2, 3, 7), Float(2, 3, 7)],
                t => ScatterAdd(t[0], -1, t[1], t[2])),
            new("add nothing", [Float(3, 4), Index(3, 0, 4), Float(0, 4)], t => ScatterAdd(t[0], 0, t[1], t[2])),
            new("add rows", [Float(5, 7), Index(5, 9), Float(9, 7)], t => IndexAdd(t[0], 0, t[1], t[2])),
            new("add columns", [Float(2, 5, 1), Index(5, 3), Float(2, 3, 1)], t => IndexAdd(t[0], -2, t[1], t[2])),
            new("add no rows", [Float(5, 7), Index(5, 0), Float(0, 7)], t => IndexAdd(t[0], 0, t[1], t[2])),
            new("add many columns", [Float(3, 2500), Index(3, 5), Float(5, 2500)], t => IndexAdd(t[0], 0, t[1], t[2]))
            {
                GradCheck = false,
            },
        ],
        Errors =
        [
            new("range", [Float(2, 3), Index(1, 2, 3), Float(2, 5)], t => Scatter(t[0], 1, Pad(t[1], [1, 1], 5), t[2]),
                "scatter: index 5 at position 0 is not in 0 .. 2"),
            new("shape", [Float(2, 3), Index(3, 3, 3), Float(3, 3)], t => Scatter(t[0], 1, t[1], t[2]), "for [2, 3] along axis 1"),
            new("source", [Float(2, 3), Index(3, 2, 3), Float(2, 2)], t => Scatter(t[0], 1, t[1], t[2]), "expected F32 [2, 3]"),
            new("source's type", [Float(2, 3), Index(3, 2, 3), Index(3, 2, 3)], t => ScatterAdd(t[0], 1, t[1], t[2]),
                "scatter_add: got source I64 [2, 3]"),
            new("add to indices", [Index(3, 3), Index(3, 3), Index(3, 3)], t => ScatterAdd(t[0], 0, t[1], t[2]), "scatter_add"),
            new("add beyond the range", [Float(4), Index(1, 2), Float(3)], t => ScatterAdd(t[0], 0, Pad(t[1], [0, 1], -1), t[2]),
                "scatter_add: index -1 at position 2 is not in 0 .. 3"),
            new("rows beyond the range", [Float(4, 2), Index(1, 2), Float(3, 2)],
                t => IndexAdd(t[0], 0, Pad(t[1], [0, 1], 4), t[2]), "index_add: index 4 at position 2 is not in 0 .. 3"),
            new("rows by a matrix", [Float(4, 2), Index(4, 2, 1), Float(2, 2)], t => IndexAdd(t[0], 0, t[1], t[2]), "expected I64 [n]"),
            new("rows of another length", [Float(4, 2), Index(4, 3), Float(3, 1)], t => IndexAdd(t[0], 0, t[1], t[2]),
                "source has shape [3, 1], expected [3, 2]"),
        ],
    };
}
