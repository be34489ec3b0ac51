using static DtoKd.Engine.OpInput;

namespace DtoKd.Engine;

public static partial class Op
{
    internal static OpDeclaration SqueezeExciteDeclaration => new(nameof(SqueezeExcite), nameof(SqueezeExciteGate))
    {
        Samples =
        [
            new("images", [Float(2, 5, 3, 4), Float(3, 5, 1, 1), Float(3), Float(5, 3, 1, 1), Float(5)], Excite),
            new("one pixel", [Float(3, 4, 1, 1), Float(2, 4, 1, 1), Float(2), Float(4, 2, 1, 1), Float(4)], Excite),
            new("no images", [Float(0, 4, 2, 2), Float(2, 4, 1, 1), Float(2), Float(4, 2, 1, 1), Float(4)], Excite),
            new("behind a reader", [Float(2, 3, 2, 3), Float(2, 3, 1, 1), Float(2), Float(3, 2, 1, 1), Float(3)], t => Excite(t) + t[0]),
            new("large", [Float(5, 70, 7, 7), Float(18, 70, 1, 1), Float(18), Float(70, 18, 1, 1), Float(70)], Excite) { GradCheck = false },
            new("gate", [Float(2, 5, 3, 4), Float(3, 5, 1, 1), Float(3), Float(5, 3, 1, 1), Float(5)],
                t => SqueezeExciteGate(t[0], t[1], t[2], t[3], t[4])),
        ],
        Errors =
        [
            new("axes", [Float(2, 5, 3), Float(3, 5, 1, 1), Float(3), Float(5, 3, 1, 1), Float(5)], Excite, "got x [2, 5, 3] and weight1 [3, 5, 1, 1]"),
            new("channels", [Float(2, 5, 3, 4), Float(3, 4, 1, 1), Float(3), Float(5, 3, 1, 1), Float(5)], Excite,
                "squeeze_excite: weight1 has shape [3, 4, 1, 1], expected [3, 5, 1, 1]"),
            new("squeezed", [Float(2, 5, 3, 4), Float(3, 5, 1, 1), Float(3), Float(5, 4, 1, 1), Float(5)], Excite,
                "squeeze_excite: weight2 has shape [5, 4, 1, 1], expected [5, 3, 1, 1]"),
        ],
    };

    private static Tensor Excite(Tensor[] t) => SqueezeExcite(t[0], t[1], t[2], t[3], t[4]);
}
