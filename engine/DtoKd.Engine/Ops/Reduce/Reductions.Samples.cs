using static DtoKd.Engine.OpInput;

namespace DtoKd.Engine;

public static partial class Op
{
    internal static OpDeclaration MeanDeclaration => OverAxes(nameof(Mean), Mean, Float(1));

    internal static OpDeclaration AmaxDeclaration => OverAxes(nameof(Amax), Amax, Float(1)) with { Errors = [.. Choosing(Amax)] };

    internal static OpDeclaration AminDeclaration => OverAxes(nameof(Amin), Amin, Float(1)) with { Errors = [.. Choosing(Amin)] };

    // Factors near 1: a product of thousands stays within range.
    internal static OpDeclaration ProdDeclaration => OverAxes(nameof(Prod), Prod, Uniform(0.98, 1.02, [1]), 5e-4);

    internal static OpDeclaration LogSumExpDeclaration => OverAxes(nameof(LogSumExp), LogSumExp, Uniform(-5, 5, [1]));

    internal static OpDeclaration VarDeclaration
    {
        get
        {
            var unbiased = OverAxes(nameof(Var), (x, axes, keep) => Var(x, axes, 1, keep), Float(1));
            return unbiased with
            {
                Samples =
                [
                    .. unbiased.Samples,
                    new("biased", [Float(2, 3, 4)], t => Var(t[0], [0, 2], correction: 0)),
                    new("large mean", [Uniform(999, 1001, [3, 50])], t => Var(t[0], [1])) { GradCheck = false },
                ],
            };
        }
    }

    internal static OpDeclaration StdDeclaration => OverAxes(nameof(Std), (x, axes, keep) => Std(x, axes, 1, keep), Float(1));

    internal static OpDeclaration NormDeclaration
    {
        get
        {
            var euclidean = OverAxes(nameof(Norm), (x, axes, keep) => Norm(x, 2, axes, keep), Float(1));
            return euclidean with
            {
                Samples =
                [
                    .. euclidean.Samples,
                    new("p = 1", [Float(2, 3, 4)], t => Norm(t[0], 1, [0, 2])),
                    new("p infinite", [Float(2, 3, 4)], t => Norm(t[0], double.PositiveInfinity, [-1])),
                ],
                Errors = [.. euclidean.Errors, new("p = 3", [Float(3)], t => Norm(t[0], 3), "p is 3, must be 1, 2 or infinity")],
            };
        }
    }

    internal static OpDeclaration MaxDeclaration => AlongAxis(nameof(Max), (x, axis, keep) => Max(x, axis, keep).Values);

    internal static OpDeclaration MinDeclaration => AlongAxis(nameof(Min), (x, axis, keep) => Min(x, axis, keep).Values);

    internal static OpDeclaration ArgMaxDeclaration => Arg(nameof(ArgMax), ArgMax);

    internal static OpDeclaration ArgMinDeclaration => Arg(nameof(ArgMin), ArgMin);

    internal static OpDeclaration AnyDeclaration => Masks(nameof(Any), Any);

    internal static OpDeclaration AllDeclaration => Masks(nameof(All), All);

    private static OpDeclaration OverAxes(
        string name, Func<Tensor, int[]?, bool, Tensor> op, OpInput values, double tolerance = 1e-5)
    {
        OpSample Sample(string label, Shape shape, int[]? axes, bool keep = false) =>
            new(label, [values with { Shape = shape }], t => op(t[0], axes, keep)) { Tolerance = tolerance };
        return new(name)
        {
            Samples =
            [
                Sample("all", [3, 5], null),
                Sample("last axis", [3, 19], [-1]),
                Sample("first axis", [5, 19], [0], keep: true),
                Sample("middle axis", [2, 3, 4], [1]),
                Sample("middle axis kept", [2, 3, 4], [1], keep: true),
                Sample("outer two of three", [2, 3, 4], [0, 2]),
                Sample("outer two of three kept", [2, 3, 4], [0, 2], keep: true),
                Sample("empty result", [0, 3], [1]),
                Sample("empty columns", [3, 0], [0]),
                Sample("long rows", [3, 35003], [1]) with { GradCheck = false },
                Sample("long columns", [1031, 277], [0]) with { GradCheck = false },
            ],
            Errors =
            [
                new("no such axis", [Float(2, 3)], t => op(t[0], [2], false), "no axis 2"),
                new("axis twice", [Float(2, 3)], t => op(t[0], [0, -2], false), "stands twice"),
                new("integers", [Index(3, 4)], t => op(t[0], null, false), "needs a float tensor"),
            ],
        };
    }

    private static OpError[] Choosing(Func<Tensor, int[]?, bool, Tensor> op) =>
    [
        new("no such axis", [Float(2, 3)], t => op(t[0], [2], false), "no axis 2"),
        new("integers", [Index(3, 4)], t => op(t[0], null, false), "needs a float tensor"),
        new("nothing to choose from", [Float(2, 0)], t => op(t[0], [1], false), "nothing to choose from"),
    ];

    private static OpDeclaration AlongAxis(string name, Func<Tensor, int, bool, Tensor> op) => new(name)
    {
        Samples =
        [
            new("last axis", [Float(3, 19)], t => op(t[0], -1, false)),
            new("middle axis", [Float(2, 3, 4)], t => op(t[0], 1, true)),
            new("read twice", [Float(4, 3)], t => op(t[0], 0, false) + op(t[0], 0, false)),
            new("empty result", [Float(0, 3)], t => op(t[0], 1, false)),
            new("empty columns", [Float(3, 0)], t => op(t[0], 0, false)),
            new("long", [Float(7, 5003)], t => op(t[0], 1, false)) { GradCheck = false },
        ],
        Errors =
        [
            new("no such axis", [Float(2, 3)], t => op(t[0], 2, false), "no axis 2"),
            new("integers", [Index(3, 4)], t => op(t[0], 0, false), "needs a float tensor"),
            new("nothing to choose from", [Float(2, 0)], t => op(t[0], 1, false), "nothing to choose from"),
        ],
    };

    private static OpDeclaration Arg(string name, Func<Tensor, int?, bool, Tensor> op) =>
        AlongAxis(name, (x, axis, keep) => op(x, axis, keep)) with
    {
        IsDifferentiable = false,
        Samples =
        [
            new("last axis", [Float(3, 19)], t => op(t[0], -1, false)),
            new("middle axis", [Float(2, 3, 4)], t => op(t[0], 1, true)),
            new("all", [Float(3, 7)], t => op(t[0], null, false)),
            new("empty result", [Float(0, 3)], t => op(t[0], 1, false)),
            new("empty columns", [Float(3, 0)], t => op(t[0], 0, false)),
            new("long", [Float(7, 5003)], t => op(t[0], 1, false)),
        ],
    };

    private static OpDeclaration Masks(string name, Func<Tensor, int[]?, bool, Tensor> op) => new(name)
    {
        IsDifferentiable = false,
        Samples =
        [
            new("all", [Mask(3, 5)], t => op(t[0], null, false)),
            new("last axis", [Mask(30, 3)], t => op(t[0], [-1], false)),
            new("outer two of three", [Mask(2, 13, 2)], t => op(t[0], [0, 2], true)),
            new("empty axis", [Mask(3, 0)], t => op(t[0], [1], false)),
        ],
        Errors = [new("floats", [Float(3)], t => op(t[0], null, false), "needs a Bool mask")],
    };
}
