namespace DtoKd.Engine;

public static partial class Op
{
    /// <summary>
    /// A convolution without bias, batch norm by fixed statistics, a tensor added and the positive part, as a frozen network
    /// computes them: relu(batch_norm(conv2d(x, weight)) + residual). Where no gradient is wanted the CPU does all of it as the
    /// sums of the convolution leave its cache; otherwise it is the operations of that formula.
    /// </summary>
    /// <param name="x">Images [N, C, H, W].</param>
    /// <param name="weight">[O, C / groups, kh, kw].</param>
    /// <param name="norm">The statistics and the affine map behind them.</param>
    /// <param name="residual">[N, O, OH, OW], added before the positive part is taken; or null.</param>
    /// <param name="relu">Whether negative results become 0.</param>
    /// <param name="stride">Pixels from one window to the next; 1 when null.</param>
    /// <param name="padding">Zeros around the image on each side; 0 when null.</param>
    /// <param name="groups">Output channels of one group see the input channels of that group only.</param>
    /// <param name="gate">Factors [N, C, 1, 1] of x's channels, as squeeze-excite makes them; or null.</param>
    /// <returns>[N, O, OH, OW].</returns>
    /// <exception cref="ArgumentException">Shapes that do not fit, or a kernel larger than the padded image.</exception>
    public static Tensor Conv2dNorm(
        Tensor x,
        Tensor weight,
        FixedNorm norm,
        Tensor? residual = null,
        bool relu = false,
        Pair? stride = null,
        Pair? padding = null,
        int groups = 1,
        Tensor? gate = null)
    {
        const string op = "conv2d_norm";
        var step = Step.Of(op, x, weight, residual, gate);
        if (Conv2dKernels.For(x) is not IConv2dNormKernels kernels || step.Tracks(x, weight, norm.Weight, norm.Bias, residual, gate))
        {
            return BatchNorm(
                Conv2d(gate is null ? x : x * gate, weight, null, stride, padding, 1, groups), norm.Weight, norm.Bias, norm.Mean,
                norm.Variance, training: false, eps: norm.Epsilon, residual: residual, relu: relu);
        }

        var geometry = Conv2dGeometry.Of(op, x, weight, null, stride ?? 1, padding ?? 0, 1, groups);
        var channels = new Shape(geometry.O);
        Require.Shape(op, "norm weight", norm.Weight, channels, x);
        Require.Shape(op, "norm bias", norm.Bias, channels, x);
        Require.Shape(op, "mean", norm.Mean, channels, x);
        Require.Shape(op, "variance", norm.Variance, channels, x);
        Require.Shape(op, "residual", residual, geometry.Output, x);
        Require.Shape(op, "gate", gate, new Shape(geometry.N, geometry.C, 1, 1), x);
        if (geometry.SkipsPixels && IsForCpu(x))
        {
            using var own = step.OwnScope();
            return own.Return(Conv2dNorm(PixelsRead(geometry, gate is null ? x : x * gate), weight, norm, residual, relu, groups: groups));
        }

        if (gate is not null && !kernels.TakesGate(geometry))
            (x, gate) = (x * gate, null);
        var result = step.New(geometry.Output, x.DType, op);
        var contiguous = new FixedNorm(
            Contiguous(norm.Weight), Contiguous(norm.Bias), Contiguous(norm.Mean), Contiguous(norm.Variance), norm.Epsilon);
        kernels.Forward(
            geometry, Contiguous(x), gate is null ? null : Contiguous(gate), Contiguous(weight), contiguous,
            residual is null ? null : Contiguous(residual), relu, result);
        return result;
    }
}

/// <summary>Batch norm that does not train: y = (x - Mean) / sqrt(Variance + Epsilon) Weight + Bias for each channel.</summary>
/// <param name="Weight">[C].</param>
/// <param name="Bias">[C].</param>
/// <param name="Mean">[C].</param>
/// <param name="Variance">[C].</param>
/// <param name="Epsilon">Added to the variance.</param>
public sealed record FixedNorm(Tensor Weight, Tensor Bias, Tensor Mean, Tensor Variance, double Epsilon = 1e-5);

/// <summary>A kernel for <see cref="Op.Conv2dNorm"/>, of a device whose convolutions offer it.</summary>
internal interface IConv2dNormKernels
{
    /// <summary>Whether <see cref="Forward"/> can multiply x by a gate as it reads it.</summary>
    bool TakesGate(Conv2dGeometry geometry);

    /// <summary>y = relu(norm(conv(x gate, w)) + residual); all tensors are contiguous.</summary>
    void Forward(
        Conv2dGeometry geometry, Tensor x, Tensor? gate, Tensor w, FixedNorm norm, Tensor? residual, bool relu, Tensor y);
}
