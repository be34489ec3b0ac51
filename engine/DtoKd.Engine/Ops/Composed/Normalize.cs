using static DtoKd.Engine.OpInput;

namespace DtoKd.Engine;

public static partial class Op
{
    /// <summary>
    /// x / max(norm, eps), with the p-norm of each row along an axis. A row of zeros stays so, with gradient 1 / eps.
    /// </summary>
    /// <param name="x">Floats of any shape.</param>
    /// <param name="p">The norm: (sum of |x|^p)^(1/p); positive.</param>
    /// <param name="axis">The axis of the norm; negative counts from the last.</param>
    /// <param name="eps">The least divisor, positive.</param>
    /// <returns>A tensor of x's shape.</returns>
    /// <exception cref="ArgumentException">There is no such axis, or p or eps is not positive.</exception>
    public static Tensor Normalize(Tensor x, double p = 2, int axis = 1, double eps = 1e-12)
    {
        const string op = "normalize";
        Pointwise.RequireFloat(op, x);
        if (p is not (> 0 and < double.PositiveInfinity) || !(eps > 0))
            throw new ArgumentException($"{op}: p is {p} and eps {eps}, expected positive numbers");
        // The bound goes below the root, whose slope at 0 is infinite.
        var norm = p switch
        {
            1 => Clamp(Sum(Abs(x), [axis], keepAxes: true), eps),
            2 => Sqrt(Clamp(Sum(Square(x), [axis], keepAxes: true), eps * eps)),
            _ => PowScalar(Clamp(Sum(PowScalar(Abs(x), p), [axis], keepAxes: true), Math.Pow(eps, p)), 1 / p),
        };
        return Div(x, norm);
    }

    /// <summary>
    /// The cosine of the angle between the rows of two tensors along an axis: the product of the normalised rows.
    /// </summary>
    /// <param name="x">Floats of any shape.</param>
    /// <param name="y">Floats of the same shape.</param>
    /// <param name="axis">The axis of the rows; negative counts from the last.</param>
    /// <param name="eps">The least norm that is divided by.</param>
    /// <returns>A tensor of x's shape without the axis.</returns>
    /// <exception cref="ArgumentException">The shapes or types differ, or there is no such axis.</exception>
    public static Tensor CosineSimilarity(Tensor x, Tensor y, int axis = 1, double eps = 1e-8)
    {
        Require.Shape("cosine_similarity", "y", y, x.Shape, x);
        return Sum(Mul(Normalize(x, 2, axis, eps), Normalize(y, 2, axis, eps)), [axis]);
    }

    internal static OpDeclaration NormalizeDeclaration => new(nameof(Normalize))
    {
        Samples =
        [
            new("p = 2", [Float(3, 5)], t => Normalize(t[0])),
            new("p = 1", [Float(3, 5)], t => Normalize(t[0], 1, 0)),
            new("p = 3", [Float(3, 5)], t => Normalize(t[0], 3, -1)),
            new("large eps", [Float(3, 5)], t => Normalize(t[0], eps: 100)),
        ],
        Errors =
        [
            new("p", [Float(3, 5)], t => Normalize(t[0], 0), "p is 0"),
            new("axis", [Float(3, 5)], t => Normalize(t[0], axis: 2), "no axis 2"),
        ],
    };

    internal static OpDeclaration CosineSimilarityDeclaration => new(nameof(CosineSimilarity))
    {
        Samples =
        [
            new("last axis", [Float(3, 5), Float(3, 5)], t => CosineSimilarity(t[0], t[1])),
            new("first axis", [Float(3, 5), Float(3, 5)], t => CosineSimilarity(t[0], t[1], 0)),
        ],
        Errors = [new("shapes", [Float(3, 5), Float(5)], t => CosineSimilarity(t[0], t[1]), "y has shape [5], expected [3, 5]")],
    };
}
