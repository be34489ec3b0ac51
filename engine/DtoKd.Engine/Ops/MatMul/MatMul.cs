using System.Diagnostics.CodeAnalysis;

namespace DtoKd.Engine;

public static partial class Op
{
    internal static readonly KernelTable<IMatMulKernels> MatMulKernels = 
        new(new MatMulReference(), new MatMulCpu(), new Gpu.MatMulGpu());

    /// <summary>
    /// The matrix product: y[..., i, j] = sum over p of a[..., i, p] b[..., p, j]. Operands of any strides are read in place, so
    /// transposing one costs nothing.
    /// </summary>
    /// <param name="a">[..., m, k], or [k] for a row whose axis the result does not have.</param>
    /// <param name="b">[..., k, n], or [k] for a column whose axis the result does not have.</param>
    /// <returns>[..., m, n]; the leading axes of both broadcast.</returns>
    /// <exception cref="ArgumentException">Inner sizes differ, leading axes do not broadcast, or one is a scalar.</exception>
    public static Tensor MatMul(Tensor a, Tensor b)
    {
        var step = Step.Of("matmul", a, b);
        Pointwise.RequireFloat("matmul", a);
        Pointwise.RequireSameType("matmul", a, b);
        if (a.Shape.Rank == 0 || b.Shape.Rank == 0)
            throw new ArgumentException($"matmul: got shapes {a.Shape} and {b.Shape}, expected at least one axis each");
        if (a.Shape[^1] != b.Shape[b.Shape.Rank == 1 ? ^1 : ^2])
            throw new ArgumentException($"matmul: {a.Shape} times {b.Shape}: the inner sizes differ");
        if (a.Shape.Rank == 1)
            return WithoutAxis(MatMul(Reshape(a, a.Shape.Insert(0, 1)), b), b.Shape.Rank == 1 ? -1 : -2);
        if (b.Shape.Rank == 1)
            return WithoutAxis(MatMul(a, Reshape(b, b.Shape.Insert(1, 1))), -1);

        var batch = Shape.Broadcast("matmul", BatchOf(a.Shape), BatchOf(b.Shape));
        var y = step.New(batch.Insert(batch.Rank, a.Shape[^2]).Insert(batch.Rank + 1, b.Shape[^1]), a.DType, "matmul");
        MatMulKernels.For(y).Product(a, b, null, y, accumulate: false);
        if (step.Tracks(a, b))
            step.Record(y, new MatMulNode(a, b), a, b);
        return y;

        static Tensor WithoutAxis(Tensor y, int axis) => Reshape(y, y.Shape.Without(axis));
    }

    private static Shape BatchOf(Shape shape) => shape.Without(-1).Without(-1);

    /// <summary>A view with the last two axes exchanged that no tape sees.</summary>
    private static Tensor Transposed(Step step, Tensor x)
    {
        int last = x.Shape.Rank - 1;
        var strides = x.Strides;
        (strides[last - 1], strides[last]) = (strides[last], strides[last - 1]);
        return Untracked(step, x, x.Shape.With(last - 1, x.Shape[last]).With(last, x.Shape[last - 1]), strides);
    }

    /// <summary>A contiguous tensor as a matrix [everything before the last axis, last axis] that no tape sees.</summary>
    [return: NotNullIfNotNull(nameof(x))]
    private static Tensor? AsRows(Step step, Tensor? x)
    {
        if (x is null || x.Shape.Rank == 2)
            return x;
        Shape rows = [checked((int)x.Shape.CountOf(0, x.Shape.Rank - 1)), x.Shape[^1]];
        return Untracked(step, x, rows, Strides.Contiguous(rows));
    }

    /// <summary>da = dy b^T and db = a^T dy, each summed over the axes along which the operand was broadcast.</summary>
    private sealed class MatMulNode : Node
    {
        private readonly Tensor _a;
        private readonly Tensor _b;

        public MatMulNode(Tensor a, Tensor b)
        {
            _a = Save(a);
            _b = Save(b);
        }

        public override string Name => "matmul";

        public override long MultiplyAdds =>
            Shape.Broadcast("matmul", BatchOf(_a.Shape), BatchOf(_b.Shape)).Count * _a.Shape[^2] * _a.Shape[^1] * _b.Shape[^1];

        public override void Backward(Tensor dy, Gradients into)
        {
            if (into.Wants(0))
                Give(0, dy, Transposed(into.Step, _b), dy.Shape, into);
            if (!into.Wants(1))
                return;
            if (_b.Shape.Rank == 2 && _a.IsContiguous)
            {
                // One matrix for the whole batch: a single product sums over all of its rows.
                var rows = AsRows(into.Step, _a);
                Give(1, Transposed(into.Step, rows), AsRows(into.Step, Contiguous(dy)), default, into);
                return;
            }

            Give(1, Transposed(into.Step, _a), dy, dy.Shape, into);
        }

        private void Give(int input, Tensor left, Tensor right, Shape batched, Gradients into)
        {
            var kernels = MatMulKernels.For(left);
            var shape = Inputs[input].Shape;
            if (batched.Rank == 0 || BatchOf(batched) == BatchOf(shape))
            {
                var target = into.Target(input);
                kernels.Product(left, right, null, target.Tensor, target.Accumulate);
                return;
            }

            var whole = into.Step.New(batched.With(-2, shape[^2]).With(-1, shape[^1]), left.DType, "gradient");
            kernels.Product(left, right, null, whole, accumulate: false);
            into.Give(input, SumTo(whole, shape));
        }
    }
}

/// <summary>Kernels of <see cref="Op.MatMul"/> and of what is a matrix product underneath.</summary>
internal interface IMatMulKernels
{
    /// <summary>y[..., i, j] (+)= sum over p of a[..., i, p] b[..., p, j] + bias[j], and what is done to that.</summary>
    /// <param name="a">Broadcasts to [..., m, k]; any strides.</param>
    /// <param name="b">Broadcasts to [..., k, n]; any strides.</param>
    /// <param name="bias">Contiguous [n], or null.</param>
    /// <param name="y">Contiguous [..., m, n].</param>
    /// <param name="accumulate">Whether to add to y.</param>
    /// <param name="end">What is done to the elements of y at last.</param>
    void Product(Tensor a, Tensor b, Tensor? bias, Tensor y, bool accumulate, ProductEnd end = default);
}
