using static DtoKd.Engine.OpInput;

namespace DtoKd.Engine;

// Ranges whose ends are not kinks: a difference quotient across a kink is no derivative.
public static partial class Op
{
    internal static OpDeclaration ExpDeclaration => Function(nameof(Exp), Exp, -4, 4);

    internal static OpDeclaration Expm1Declaration => Function(nameof(Expm1), Expm1, -3, 3);

    internal static OpDeclaration LogDeclaration => Function(nameof(Log), Log, 0.1, 5);

    internal static OpDeclaration Log1pDeclaration => Function(nameof(Log1p), Log1p, -0.8, 5);

    internal static OpDeclaration SqrtDeclaration => Function(nameof(Sqrt), Sqrt, 0.1, 5);

    internal static OpDeclaration RsqrtDeclaration => Function(nameof(Rsqrt), Rsqrt, 0.2, 5);

    internal static OpDeclaration ReciprocalDeclaration => Function(nameof(Reciprocal), Reciprocal, 0.2, 5);

    internal static OpDeclaration SquareDeclaration => Function(nameof(Square), Square, -3, 3);

    internal static OpDeclaration NegDeclaration => Function(nameof(Neg), Neg, -3, 3);

    internal static OpDeclaration AbsDeclaration => Function(nameof(Abs), Abs, -3, 3);

    internal static OpDeclaration ReluDeclaration => Function(nameof(Relu), Relu, -3, 3);

    internal static OpDeclaration LeakyReluDeclaration => Function(nameof(LeakyRelu), x => LeakyRelu(x, 0.1), -3, 3);

    internal static OpDeclaration EluDeclaration => Function(nameof(Elu), x => Elu(x, 0.7), -3, 3);

    internal static OpDeclaration SigmoidDeclaration => Function(nameof(Sigmoid), Sigmoid, -6, 6);

    internal static OpDeclaration LogSigmoidDeclaration => Function(nameof(LogSigmoid), LogSigmoid, -6, 6);

    internal static OpDeclaration SoftplusDeclaration => Function(nameof(Softplus), Softplus, -6, 6);

    internal static OpDeclaration SiluDeclaration => Function(nameof(Silu), Silu, -6, 6);

    internal static OpDeclaration TanhDeclaration => Function(nameof(Tanh), Tanh, -4, 4);

    internal static OpDeclaration ErfDeclaration => Function(nameof(Erf), Erf, -3, 3);

    internal static OpDeclaration HardSigmoidDeclaration => Function(nameof(HardSigmoid), HardSigmoid, -4, 4);

    internal static OpDeclaration HardSwishDeclaration => Function(nameof(HardSwish), HardSwish, -4, 4);

    internal static OpDeclaration SinDeclaration => Function(nameof(Sin), Sin, -9, 9);

    internal static OpDeclaration CosDeclaration => Function(nameof(Cos), Cos, -9, 9);

    internal static OpDeclaration AtanDeclaration => Function(nameof(Atan), Atan, -5, 5);

    internal static OpDeclaration GeluDeclaration
    {
        get
        {
            var exact = Function(nameof(Gelu), x => Gelu(x), -5, 5);
            var byTanh = new OpSample("by tanh", [Uniform(-5, 5, [4, 9])], t => Gelu(t[0], GeluForm.Tanh));
            return exact with { Samples = [.. exact.Samples, byTanh] };
        }
    }

    internal static OpDeclaration ClampDeclaration
    {
        get
        {
            var both = Function(nameof(Clamp), x => Clamp(x, -0.5, 0.8), -2, 2);
            return both with
            {
                Samples = [.. both.Samples, new("below only", [Float(4, 9)], t => Clamp(t[0], min: 0.25))],
                Errors = [.. both.Errors, new("bounds", [Float(2)], t => Clamp(t[0], 2, 1), "lower bound 2 is above")],
            };
        }
    }

    internal static OpDeclaration PowScalarDeclaration
    {
        get
        {
            var cube = Function(nameof(PowScalar), x => PowScalar(x, 3), -2, 2);
            OpSample Power(double exponent) =>
                new($"to the {exponent}", [Positive(4, 9)], t => PowScalar(t[0], exponent)) { Tolerance = 2e-5 };
            return cube with { Samples = [.. cube.Samples, Power(2), Power(0), Power(0.5), Power(-1.5), Power(2.2)] };
        }
    }

    internal static OpDeclaration PowDeclaration => Broadcasting(nameof(Pow), Pow, Positive(1), Float(1));

    internal static OpDeclaration MaximumDeclaration => Broadcasting(nameof(Maximum), Maximum, Float(1), Float(1));

    internal static OpDeclaration MinimumDeclaration => Broadcasting(nameof(Minimum), Minimum, Float(1), Float(1));

    internal static OpDeclaration LerpDeclaration => Broadcasting(nameof(Lerp), (a, b) => Lerp(a, b, 0.3), Float(1), Float(1));

    /// <summary>The samples of a function of one tensor, for values from a range.</summary>
    private static OpDeclaration Function(string name, Func<Tensor, Tensor> op, double low, double high)
    {
        OpSample Sample(string label, Shape shape) => new(label, [Uniform(low, high, shape)], t => op(t[0]));
        return new(name)
        {
            Samples =
            [
                Sample("three axes", [2, 3, 7]),
                Sample("scalar", []),
                Sample("empty", [0, 3]),
                Sample("several blocks", [3, 8209]) with { GradCheck = false },
            ],
            Errors = [new("integers", [Index(3, 4)], t => op(t[0]), "needs a float tensor")],
        };
    }
}
