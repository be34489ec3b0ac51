using static DtoKd.Engine.OpInput;

namespace DtoKd.Engine;

public static partial class Op
{
    internal static OpDeclaration DeformableAttentionDeclaration => new(nameof(MultiScaleDeformableAttention))
    {
        Samples =
        [
            new("two levels", [Float(2, 60, 2, 3), Uniform(-0.2, 1.2, [2, 5, 2, 2, 4, 2]), Positive(2, 5, 2, 2, 4)],
                t => MultiScaleDeformableAttention(t[0], [(6, 8), (3, 4)], t[1], t[2])),
            new("one pixel", [Float(1, 1, 1, 1), Uniform(0.1, 0.4, [1, 1, 1, 1, 1, 2]), Positive(1, 1, 1, 1, 1)],
                t => MultiScaleDeformableAttention(t[0], [1], t[1], t[2])),
            new("an empty level", [Float(1, 6, 2, 3), Uniform(-0.2, 1.2, [1, 3, 2, 2, 2, 2]), Positive(1, 3, 2, 2, 2)],
                t => MultiScaleDeformableAttention(t[0], [(2, 3), (0, 3)], t[1], t[2])),
            new("no query", [Float(1, 6, 2, 3), Float(1, 0, 2, 1, 2, 2), Positive(1, 0, 2, 1, 2)],
                t => MultiScaleDeformableAttention(t[0], [(2, 3)], t[1], t[2])),
            new("wide heads", [Float(2, 85, 3, 37), Uniform(-0.2, 1.2, [2, 5, 3, 3, 4, 2]), Positive(2, 5, 3, 3, 4)],
                t => MultiScaleDeformableAttention(t[0], [8, 4, (1, 5)], t[1], t[2])) { GradCheck = false },
        ],
        Errors =
        [
            new("value", [Float(1, 6, 2), Float(1, 3, 2, 1, 2, 2), Positive(1, 3, 2, 1, 2)],
                t => MultiScaleDeformableAttention(t[0], [(2, 3)], t[1], t[2]), "value has shape [1, 6, 2]"),
            new("levels", [Float(1, 6, 2, 3), Float(1, 3, 2, 1, 2, 2), Positive(1, 3, 2, 1, 2)],
                t => MultiScaleDeformableAttention(t[0], [(2, 4)], t[1], t[2]), "levels (2, 4) have 8 pixels"),
            new("weights", [Float(1, 6, 2, 3), Float(1, 3, 2, 1, 2, 2), Positive(1, 3, 2, 2, 2)],
                t => MultiScaleDeformableAttention(t[0], [(2, 3)], t[1], t[2]), "expected [1, 3, 2, 1, 2]"),
            new("locations", [Float(1, 6, 2, 3), Float(1, 3, 2, 1, 2, 1), Positive(1, 3, 2, 1, 2)],
                t => MultiScaleDeformableAttention(t[0], [(2, 3)], t[1], t[2]), "expected [1, 3, 2, 1, 2, 2]"),
        ],
    };
}
