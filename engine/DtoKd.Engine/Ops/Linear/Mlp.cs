namespace DtoKd.Engine;

public static partial class Op
{
    /// <summary>
    /// A transformer's perceptron: y = gelu(x W1^T + b1) W2^T + b2 + residual, applied to the last axis, with the GELU of the
    /// error function. What the GELU is applied to, the widest tensor of a network, is never stored: the CPU's products go on to
    /// the function, its slope and the residual while their sums are in the cache.
    /// </summary>
    /// <param name="x">[..., in].</param>
    /// <param name="weight1">[hidden, in].</param>
    /// <param name="bias1">[hidden], or null for none.</param>
    /// <param name="weight2">[out, hidden].</param>
    /// <param name="bias2">[out], or null for none.</param>
    /// <param name="residual">Of the result's shape, or null for none.</param>
    /// <returns>[..., out].</returns>
    /// <exception cref="ArgumentException">The shapes do not fit.</exception>
    public static Tensor Mlp(
        Tensor x, Tensor weight1, Tensor? bias1, Tensor weight2, Tensor? bias2, Tensor? residual = null)
    {
        const string op = "mlp";
        var step = Step.Of(op, x, weight1, bias1, weight2, bias2, residual);
        Pointwise.RequireFloat(op, x);
        var hidden = LinearShape(op, x.Shape, weight1, bias1, x);
        var shape = LinearShape(op, hidden, weight2, bias2, x);
        Require.Shape(op, "residual", residual, shape, x);
        x = Contiguous(x);
        bias1 = bias1 is null ? null : Contiguous(bias1);
        bias2 = bias2 is null ? null : Contiguous(bias2);
        residual = residual is null ? null : Contiguous(residual);
        var y = step.New(shape, x.DType, op);
        using var own = step.OwnScope();
        var h = step.New(hidden, x.DType, op);
        var slope = step.Tracks(x, weight1, bias1) ? step.New(hidden, x.DType, op) : null;
        Multiply(step, x, weight1, bias1, h, ProductEnd.Gelu(AsRows(step, slope)));
        // On the tape h stands for what the GELU was applied to: its only reader multiplies the gradient by the slope.
        if (slope is not null)
            step.Record(h, new LinearNode(op, x, weight1), x, weight1, bias1, null);
        Multiply(step, h, weight2, bias2, y, ProductEnd.Add(AsRows(step, residual)));
        if (step.Tracks(h, weight2, bias2, residual))
            step.Record(y, new LinearNode(op, h, weight2, slope), h, weight2, bias2, residual);
        return y;
    }
}
