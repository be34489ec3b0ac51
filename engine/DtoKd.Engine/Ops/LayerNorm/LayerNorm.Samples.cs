using static DtoKd.Engine.OpInput;

namespace DtoKd.Engine;

public static partial class Op
{
    internal static OpDeclaration LayerNormDeclaration => new(nameof(LayerNorm))
    {
        Samples =
        [
            new("weight and bias", [Float(3, 19), Float(19), Float(19)], t => LayerNorm(t[0], t[1], t[2])),
            new("plain", [Float(2, 3, 16)], t => LayerNorm(t[0])),
            new("weight only", [Float(4, 9), Float(9)], t => LayerNorm(t[0], t[1], eps: 1e-3)),
            new("bias only", [Float(4, 9), Float(9)], t => LayerNorm(t[0], null, t[1])),
            new("two axes", [Float(3, 4, 5), Float(4, 5), Float(4, 5)], t => LayerNorm(t[0], t[1], t[2], axes: 2)),
            new("all axes", [Float(4, 5), Float(4, 5)], t => LayerNorm(t[0], t[1], axes: 2)),
            new("one element", [Float(3, 1), Float(1), Float(1)], t => LayerNorm(t[0], t[1], t[2])),
            new("no rows", [Float(0, 5), Float(5), Float(5)], t => LayerNorm(t[0], t[1], t[2])),
            new("input read twice", [Float(3, 8), Float(8)], t => LayerNorm(t[0], t[1]) * t[0]),
            new("many rows", [Float(603, 33), Float(33), Float(33)], t => LayerNorm(t[0], t[1], t[2])) { GradCheck = false },
            new("long rows", [Float(3, 5003), Float(5003), Float(5003)], t => LayerNorm(t[0], t[1], t[2])) { GradCheck = false },
        ],
        Errors =
        [
            new("weight", [Float(2, 3), Float(4)],
                t => LayerNorm(t[0], t[1]), "weight has shape [4], expected [3] for input [2, 3]"),
            new("bias", [Float(2, 3), Float(2)], t => LayerNorm(t[0], null, t[1]), "bias has shape [2], expected [3]"),
            new("axes", [Float(2, 3)], t => LayerNorm(t[0], axes: 3), "last 3 axes of shape [2, 3]"),
            new("integers", [Index(3, 4)], t => LayerNorm(t[0]), "needs a float tensor"),
        ],
    };
}
