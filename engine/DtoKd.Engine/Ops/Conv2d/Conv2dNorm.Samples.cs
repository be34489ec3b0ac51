using static DtoKd.Engine.OpInput;

namespace DtoKd.Engine;

public static partial class Op
{
    internal static OpDeclaration Conv2dNormDeclaration => new(nameof(Conv2dNorm))
    {
        Samples =
        [
            new("3 x 3", [Float(2, 3, 5, 4), Float(4, 3, 3, 3), Float(4), Float(4), Float(2, 4, 5, 4)],
                t => Conv2dNorm(t[0], t[1], Norm(t), t[4], relu: false, padding: 1)),
            new("relu", [Float(1, 4, 4, 4), Float(6, 2, 3, 3), Float(6), Float(6)],
                t => Conv2dNorm(t[0], t[1], Norm(t), relu: true, stride: 2, groups: 2)) { GradCheck = false },
            new("gate", [Float(2, 12, 5, 4), Float(13, 12, 1, 1), Float(13), Float(13), Float(2, 12, 1, 1)],
                t => Conv2dNorm(t[0], t[1], Norm(t), relu: false, gate: t[4])),
            new("zeros and a gate", [Float(3, 48, 5, 5), Float(100, 48, 1, 1), Float(100), Float(100), Float(3, 48, 1, 1), Float(3, 100, 5, 5)],
                t => Conv2dNorm(Relu(t[0]), t[1], Norm(t), t[5], relu: true, gate: t[4])) { GradCheck = false },
        ],
        Errors =
        [
            new("gate", [Float(2, 3, 5, 4), Float(4, 3, 3, 3), Float(4), Float(4), Float(2, 3)],
                t => Conv2dNorm(t[0], t[1], Norm(t), gate: t[4]), "gate has shape [2, 3], expected [2, 3, 1, 1]"),
            new("norm", [Float(2, 3, 5, 4), Float(4, 3, 3, 3), Float(3), Float(4)],
                t => Conv2dNorm(t[0], t[1], Norm(t)), "norm weight has shape [3], expected [4]"),
            new("residual", [Float(2, 3, 5, 4), Float(4, 3, 3, 3), Float(4), Float(4), Float(2, 4, 5, 4)],
                t => Conv2dNorm(t[0], t[1], Norm(t), t[4]), "residual has shape [2, 4, 5, 4], expected [2, 4, 3, 2]"),
        ],
    };

    // Statistics that no gradient flows through.
    private static FixedNorm Norm(Tensor[] inputs)
    {
        int channels = inputs[1].Shape[0];
        return new FixedNorm(inputs[2], inputs[3], Ramp(inputs[0], channels), Ramp(inputs[0], channels));
    }
}
