using static DtoKd.Engine.OpInput;

namespace DtoKd.Engine;

public static partial class Op
{
    internal static OpDeclaration KlDivergenceDeclaration => new(nameof(KlDivergence))
    {
        Samples =
        [
            new("T = 1", [Float(4, 7), Float(4, 7)], t => KlDivergence(t[0], t[1])),
            new("T = 4", [Float(4, 19), Float(4, 19)], t => KlDivergence(t[0], t[1], 4)) { Tolerance = 3e-5 },
            new("each row", [Float(2, 3, 5), Float(2, 3, 5)], t => KlDivergence(t[0], t[1], 0.5, Reduction.None)),
            new("sum", [Float(3, 5), Float(3, 5)], t => KlDivergence(t[0], t[1], 2, Reduction.Sum)),
            new("one class", [Float(3, 1), Float(3, 1)], t => KlDivergence(t[0], t[1], 2)),
            new("no rows", [Float(0, 3), Float(0, 3)], t => KlDivergence(t[0], t[1], 2, Reduction.None)),
            new("many", [Float(67, 1003), Float(67, 1003)], t => KlDivergence(t[0], t[1], 2)) { GradCheck = false },
        ],
        Errors =
        [
            new("shapes", [Float(2, 3), Float(2, 4)], t => KlDivergence(t[0], t[1]), "teacher has shape [2, 4], expected [2, 3]"),
            new("temperature", [Float(2, 3), Float(2, 3)], t => KlDivergence(t[0], t[1], 0), "temperature 0"),
            new("scalar", [Float(), Float()], t => KlDivergence(t[0], t[1]), "got a scalar"),
        ],
    };
}
