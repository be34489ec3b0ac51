using static DtoKd.Engine.OpInput;

namespace DtoKd.Engine;

public static partial class Op
{
    internal static OpDeclaration LinearDeclaration => new(nameof(Linear))
    {
        Samples =
        [
            new("rows", [Float(4, 5), Float(3, 5), Float(3)], t => Linear(t[0], t[1], t[2])),
            new("no bias", [Float(4, 5), Float(3, 5)], t => Linear(t[0], t[1])),
            new("tokens", [Float(2, 3, 5), Float(7, 5), Float(7)], t => Linear(t[0], t[1], t[2])),
            new("one vector", [Float(5), Float(7, 5), Float(7)], t => Linear(t[0], t[1], t[2])),
            new("no rows", [Float(0, 5), Float(7, 5), Float(7)], t => Linear(t[0], t[1], t[2])),
            new("nothing to sum", [Float(3, 0), Float(2, 0), Float(2)], t => Linear(t[0], t[1], t[2])),
            new("one weight twice", [Float(3, 4), Float(4, 4), Float(4)], t => Linear(Linear(t[0], t[1], t[2]), t[1], t[2])),
            new("residual", [Float(2, 3, 5), Float(7, 5), Float(7), Float(2, 3, 7)], t => Linear(t[0], t[1], t[2], t[3])),
            new("its own residual", [Float(4, 5), Float(5, 5)], t => Linear(t[0], t[1], null, t[0])),
            new("large", [Float(2, 150, 300), Float(130, 300), Float(130)], t => Linear(t[0], t[1], t[2])) { GradCheck = false },
        ],
        Errors =
        [
            new("in", [Float(4, 5), Float(3, 4)], t => Linear(t[0], t[1]), "x [4, 5] and weight [3, 4]"),
            new("bias", [Float(4, 5), Float(3, 5), Float(5)], t => Linear(t[0], t[1], t[2]), "bias has shape [5], expected [3]"),
            new("residual", [Float(4, 5), Float(3, 5), Float(3)], t => Linear(t[0], t[1], null, t[2]), "residual has shape [3], expected [4, 3]"),
            new("integers", [Index(3, 4, 5), Float(3, 5)], t => Linear(t[0], t[1]), "needs a float tensor"),
        ],
    };
}
