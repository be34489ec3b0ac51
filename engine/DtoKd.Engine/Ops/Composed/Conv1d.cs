using static DtoKd.Engine.OpInput;

namespace DtoKd.Engine;

public static partial class Op
{
    /// <summary>One-dimensional convolution: <see cref="Conv2d"/> of images of height 1.</summary>
    /// <param name="x">Sequences [N, C, L].</param>
    /// <param name="weight">[O, C / groups, k].</param>
    /// <param name="bias">[O], or null.</param>
    /// <param name="stride">Elements from one window to the next (s).</param>
    /// <param name="padding">Zeros on each side (p).</param>
    /// <param name="dilation">Elements from one element of the window to the next (d).</param>
    /// <param name="groups">Output channels of one group see the input channels of that group only.</param>
    /// <returns>[N, O, OL] with OL = (L + 2p - d (k - 1) - 1) / s + 1, rounded down.</returns>
    /// <exception cref="ArgumentException">Shapes that do not fit, or a kernel longer than the padded sequence.</exception>
    public static Tensor Conv1d(
        Tensor x, Tensor weight, Tensor? bias = null, int stride = 1, int padding = 0, int dilation = 1, int groups = 1)
    {
        if (x.Shape.Rank != 3 || weight.Shape.Rank != 3)
        {
            throw new ArgumentException(
                $"conv1d: x has shape {x.Shape} and weight {weight.Shape}, expected [N, C, L] and [O, C / groups, k]");
        }

        var step = Step.Of("conv1d", x, weight, bias);
        x = x.Step is null ? step.Use(x) : x;
        weight = weight.Step is null ? step.Use(weight) : weight;
        var y = Conv2d(
            Reshape(x, x.Shape.Insert(2, 1)), Reshape(weight, weight.Shape.Insert(2, 1)), bias, (1, stride), (0, padding),
            (1, dilation), groups);
        return Reshape(y, y.Shape.Without(2));
    }

    internal static OpDeclaration Conv1dDeclaration => new(nameof(Conv1d))
    {
        Samples =
        [
            new("plain", [Float(2, 3, 7), Float(4, 3, 3), Float(4)], t => Conv1d(t[0], t[1], t[2], padding: 1)),
            new("groups", [Float(2, 4, 9), Float(6, 2, 3)],
                t => Conv1d(t[0], t[1], stride: 2, padding: 2, dilation: 2, groups: 2)),
        ],
        Errors = [new("rank", [Float(3, 7), Float(4, 3, 3)], t => Conv1d(t[0], t[1]), "expected [N, C, L]")],
    };
}
