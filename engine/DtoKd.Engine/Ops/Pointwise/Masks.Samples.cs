using static DtoKd.Engine.OpInput;

namespace DtoKd.Engine;

public static partial class Op
{
    internal static OpDeclaration WhereDeclaration => new(nameof(Where))
    {
        Samples =
        [
            new("same shape", [Mask(3, 5), Float(3, 5), Float(3, 5)], t => Where(t[0], t[1], t[2])),
            new("mask broadcasts", [Mask(5), Float(3, 5), Float(3, 5)], t => Where(t[0], t[1], t[2])),
            new("all broadcast", [Mask(4, 1, 1), Float(3, 1), Float(5)], t => Where(t[0], t[1], t[2])),
            new("scalar", [Mask(2, 7), Float(2, 7), Float()], t => Where(t[0], t[1], t[2])),
            new("empty", [Mask(0, 3), Float(0, 3), Float(3)], t => Where(t[0], t[1], t[2])),
            new("several blocks", [Mask(20011), Float(20011), Float(1)], t => Where(t[0], t[1], t[2])) { GradCheck = false },
        ],
        Errors =
        [
            new("mask of floats", [Float(3), Float(3), Float(3)], t => Where(t[0], t[1], t[2]), "needs a Bool mask"),
            new("types", [Mask(3), Float(3), Index(2, 3)], t => Where(t[0], t[1], t[2]), "types F32 and I64"),
            new("shapes", [Mask(4), Float(3), Float(3)], t => Where(t[0], t[1], t[2]), "[4] and [3] do not broadcast"),
        ],
    };

    internal static OpDeclaration MaskedFillDeclaration => new(nameof(MaskedFill))
    {
        Samples =
        [
            new("same shape", [Float(3, 5), Mask(3, 5)], t => MaskedFill(t[0], t[1], -3.5)),
            new("mask broadcasts", [Float(2, 3, 5), Mask(3, 1)], t => MaskedFill(t[0], t[1], -3.5)),
            new("empty", [Float(0, 3), Mask(3)], t => MaskedFill(t[0], t[1], 1)),
        ],
        Errors =
        [
            new("larger mask", [Float(3), Mask(2, 3)], t => MaskedFill(t[0], t[1], 0), "shape [2, 3] for an input of shape [3]"),
            new("mask of floats", [Float(3), Float(3)], t => MaskedFill(t[0], t[1], 0), "needs a Bool mask"),
            new("integers", [Index(4, 3), Mask(3)], t => MaskedFill(t[0], t[1], 0), "needs a float tensor"),
        ],
    };

    internal static OpDeclaration EqDeclaration => Comparison(nameof(Eq), Eq);

    internal static OpDeclaration NeDeclaration => Comparison(nameof(Ne), Ne);

    internal static OpDeclaration LtDeclaration => Comparison(nameof(Lt), Lt);

    internal static OpDeclaration LeDeclaration => Comparison(nameof(Le), Le);

    internal static OpDeclaration GtDeclaration => Comparison(nameof(Gt), Gt);

    internal static OpDeclaration GeDeclaration => Comparison(nameof(Ge), Ge);

    private static OpDeclaration Comparison(string name, Func<Tensor, Tensor, Tensor> op) => new(name)
    {
        IsDifferentiable = false,
        Samples =
        [
            new("floats", [Float(3, 5), Float(3, 5)], t => op(t[0], t[1])),
            new("both ways", [Float(4, 1, 6), Float(3, 1)], t => op(t[0], t[1])),
            new("integers with ties", [Index(3, 40), Index(3, 40)], t => op(t[0], t[1])),
            new("scalar", [Float(7), Float()], t => op(t[0], t[1])),
            new("empty", [Float(0, 3), Float(3)], t => op(t[0], t[1])),
            new("several blocks", [Index(5, 40, 1000), Index(5, 1000)], t => op(t[0], t[1])) { GradCheck = false },
        ],
        Errors =
        [
            new("shapes", [Float(2, 3), Float(4)], t => op(t[0], t[1]), "do not broadcast"),
            new("types", [Float(3), Index(2, 3)], t => op(t[0], t[1]), "types "),
            new("masks", [Mask(3), Mask(3)], t => op(t[0], t[1]), "needs numbers"),
        ],
    };
}
