using static DtoKd.Engine.OpInput;

namespace DtoKd.Engine;

public static partial class Op
{
    internal static OpDeclaration SortDeclaration => new(nameof(Sort))
    {
        Samples =
        [
            new("last axis", [Float(3, 7)], t => Sort(t[0], -1).Values),
            new("first axis, descending", [Float(5, 3)], t => Sort(t[0], 0, descending: true).Values),
            new("middle axis", [Float(2, 4, 3)], t => Sort(t[0], 1).Values),
            new("empty axis", [Float(3, 0)], t => Sort(t[0], 1).Values),
            new("several blocks", [Float(300, 50)], t => Sort(t[0], 1).Values) { GradCheck = false },
        ],
        Errors =
        [
            new("no such axis", [Float(2, 3)], t => Sort(t[0], 2).Values, "no axis 2"),
            new("integers", [Index(3, 4)], t => Sort(t[0], 0).Values, "needs a float tensor"),
        ],
    };

    internal static OpDeclaration TopKDeclaration => new(nameof(TopK))
    {
        Samples =
        [
            new("last axis", [Float(3, 9)], t => TopK(t[0], 4, -1).Values),
            new("smallest of the first axis", [Float(5, 3)], t => TopK(t[0], 2, 0, largest: false).Values),
            new("none", [Float(3, 4)], t => TopK(t[0], 0, 1).Values),
        ],
        Errors = [new("too many", [Float(2, 3)], t => TopK(t[0], 4, 1).Values, "4 elements of axis 1 of shape [2, 3]")],
    };
}
