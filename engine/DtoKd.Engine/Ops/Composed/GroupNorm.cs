using static DtoKd.Engine.OpInput;

namespace DtoKd.Engine;

public static partial class Op
{
    /// <summary>
    /// y = (x - mean) / sqrt(variance + eps) * weight + bias, with mean and biased variance over each group of neighbouring
    /// channels of each sample (Wu, He: "Group normalization", 2018).
    /// </summary>
    /// <param name="x">[N, C, ...] floats.</param>
    /// <param name="groups">The number of groups, a divisor of C.</param>
    /// <param name="weight">[C]; null for 1.</param>
    /// <param name="bias">[C]; null for 0.</param>
    /// <param name="eps">Added to the variance.</param>
    /// <returns>A tensor of x's shape.</returns>
    /// <exception cref="ArgumentException">Shapes or types do not fit, or the groups do not divide the channels.</exception>
    public static Tensor GroupNorm(Tensor x, int groups, Tensor? weight = null, Tensor? bias = null, double eps = 1e-5)
    {
        const string op = "group_norm";
        Pointwise.RequireFloat(op, x);
        if (x.Shape.Rank < 2)
            throw new ArgumentException($"{op}: needs [N, C, ...], got shape {x.Shape}");
        int channels = x.Shape[1];
        if (groups < 1 || channels % groups != 0)
            throw new ArgumentException($"{op}: {groups} groups do not divide the {channels} channels of shape {x.Shape}");
        Require.Shape(op, "weight", weight, [channels], x);
        Require.Shape(op, "bias", bias, [channels], x);
        int perGroup = checked((int)(channels / groups * x.Shape.CountOf(2, x.Shape.Rank)));
        var y = Reshape(LayerNorm(Reshape(x, [x.Shape[0], groups, perGroup]), eps: eps), x.Shape);
        // [C, 1, 1, ...] stands below x's axis of channels.
        var perChannel = x.Shape.Without(0);
        for (int axis = 1; axis < perChannel.Rank; axis++)
            perChannel = perChannel.With(axis, 1);
        if (weight is not null)
            y = Mul(y, Reshape(weight, perChannel));
        return bias is null ? y : Add(y, Reshape(bias, perChannel));
    }

    internal static OpDeclaration GroupNormDeclaration => new(nameof(GroupNorm))
    {
        Samples =
        [
            new("two groups", [Float(2, 4, 3), Float(4), Float(4)], t => GroupNorm(t[0], 2, t[1], t[2])),
            new("one group", [Float(2, 3, 2, 2), Float(3)], t => GroupNorm(t[0], 1, t[1])),
            new("each channel", [Float(2, 3, 5), Float(3)], t => GroupNorm(t[0], 3, null, t[1])),
            new("no plane", [Float(3, 6), Float(6), Float(6)], t => GroupNorm(t[0], 2, t[1], t[2])),
            new("no samples", [Float(0, 6, 2), Float(6), Float(6)], t => GroupNorm(t[0], 2, t[1], t[2])),
        ],
        Errors =
        [
            new("groups", [Float(2, 4)], t => GroupNorm(t[0], 3), "3 groups do not divide the 4 channels"),
            new("weight", [Float(2, 4), Float(2)], t => GroupNorm(t[0], 2, t[1]), "weight has shape [2], expected [4]"),
            new("rank", [Float(4)], t => GroupNorm(t[0], 2), "needs [N, C, ...]"),
        ],
    };
}
