using static DtoKd.Engine.OpInput;

namespace DtoKd.Engine;

public static partial class Op
{
    internal static OpDeclaration SumDeclaration => new(nameof(Sum))
    {
        Samples =
        [
            new("all", [Float(3, 5)], t => Sum(t[0])),
            new("last axis", [Float(3, 19)], t => Sum(t[0], [-1])),
            new("first axis", [Float(5, 19)], t => Sum(t[0], [0], keepAxes: true)),
            new("middle axis", [Float(2, 3, 4)], t => Sum(t[0], [1])),
            new("outer two of three", [Float(2, 3, 4)], t => Sum(t[0], [0, 2])),
            new("scalar", [Float()], t => Sum(t[0])),
            new("empty axis", [Float(3, 0)], t => Sum(t[0], [1])),
            new("empty result", [Float(0, 3)], t => Sum(t[0], [1])),
            new("empty columns", [Float(3, 0)], t => Sum(t[0], [0])),
            new("long rows", [Float(3, 5003)], t => Sum(t[0], [1])) { GradCheck = false },
            new("long columns", [Float(1031, 21)], t => Sum(t[0], [0])) { GradCheck = false },
        ],
        Errors =
        [
            new("no such axis", [Float(2, 3)], t => Sum(t[0], [2]), "no axis 2"),
            new("axis twice", [Float(2, 3)], t => Sum(t[0], [0, -2]), "stands twice"),
            new("integers", [Index(3, 4)], t => Sum(t[0]), "needs a float tensor"),
        ],
    };
}
