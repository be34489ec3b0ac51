using static DtoKd.Engine.OpInput;

namespace DtoKd.Engine;

public static partial class Op
{
    internal static OpDeclaration MlpDeclaration => new(nameof(Mlp))
    {
        Samples =
        [
            new("tokens", [Float(2, 3, 5), Float(7, 5), Float(7), Float(4, 7), Float(4)], t => Mlp(t[0], t[1], t[2], t[3], t[4])),
            new("residual", [Float(2, 3, 5), Float(9, 5), Float(9), Float(5, 9), Float(5), Float(2, 3, 5)],
                t => Mlp(t[0], t[1], t[2], t[3], t[4], t[5])),
            new("its own residual", [Float(4, 5), Float(9, 5), Float(9), Float(5, 9), Float(5)],
                t => Mlp(t[0], t[1], t[2], t[3], t[4], t[0])),
            new("no bias", [Float(4, 5), Float(3, 5), Float(2, 3)], t => Mlp(t[0], t[1], null, t[2], null)),
            new("no rows", [Float(0, 5), Float(7, 5), Float(7), Float(5, 7), Float(5)], t => Mlp(t[0], t[1], t[2], t[3], t[4])),
            // More than one block of K in the second product, and tiles that stick out of both.
            new("large", [Float(2, 75, 100), Float(430, 100), Float(430), Float(100, 430), Float(100), Float(2, 75, 100)],
                t => Mlp(t[0], t[1], t[2], t[3], t[4], t[5])) { GradCheck = false },
        ],
        Errors =
        [
            new("in", [Float(4, 5), Float(3, 4), Float(2, 3)], t => Mlp(t[0], t[1], null, t[2], null), "mlp: got x [4, 5] and weight [3, 4]"),
            new("hidden", [Float(4, 5), Float(3, 5), Float(2, 4)], t => Mlp(t[0], t[1], null, t[2], null), "mlp: got x [4, 3] and weight [2, 4]"),
            new("residual", [Float(4, 5), Float(3, 5), Float(2, 3), Float(4, 3)], t => Mlp(t[0], t[1], null, t[2], null, t[3]),
                "mlp: residual has shape [4, 3], expected [4, 2]"),
            new("integers", [Index(3, 4, 5), Float(3, 5), Float(2, 3)], t => Mlp(t[0], t[1], null, t[2], null), "needs a float tensor"),
        ],
    };
}
