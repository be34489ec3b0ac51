namespace DtoKd.Engine.Tests.Fixtures;

internal static partial class OpMap
{
    private static Dictionary<string, OpFunction> Matrices => new()
    {
        ["matmul"] = c => [Op.MatMul(c["x"], c["y"])],
        ["matmul_t"] = c => [Op.MatMul(
            c.Flag("transpose_x") ? Op.Transpose(c["x"], -2, -1) : c["x"],
            c.Flag("transpose_y") ? Op.Transpose(c["y"], -2, -1) : c["y"])],
        ["linear"] = c => [Op.Linear(c["x"], c["w"], c.Optional("b"))],
        ["addmm"] = c => [(c["c"] * c.Number("beta")) + (Op.MatMul(c["x"], c["y"]) * c.Number("alpha"))],
        ["outer"] = c => [Op.Mul(Op.Reshape(c["x"], c["x"].Shape.Insert(1, 1)), c["y"])],
        ["cdist1"] = c => [Op.Sum(Op.Abs(Differences(c["x"], c["y"])), [-1])],
        ["cdist2"] = c => [Op.Sqrt(Op.Sum(Op.Square(Differences(c["x"], c["y"])), [-1]))],
        ["inverse"] = c => [Op.Inverse(c["a"])],
        ["solve"] = c => [Op.Solve(c["a"], c["b"])],
        ["det"] = c => [Op.Determinant(c["a"])],
        ["cholesky"] = c => [Op.Cholesky(Gram(c["a"]) + Identity(c, c["a"].Shape[^1]))],
        ["matrix_exp"] = c => [Op.MatrixExp(c["a"])],
        ["matrix_exp_skew"] = c => [Op.MatrixExp(c["a"] - Op.Transpose(c["a"], -1, -2))],
        ["orthogonal_expm"] = c => [Op.OrthogonalExp(c["a"], c.Int("columns"))],
        ["orthogonal_cayley"] = c => [Op.OrthogonalCayley(c["a"], c.Int("columns"))],
        ["orthogonal_feature_distill"] = c => [Op.SmoothL1Loss(
            Op.MatMul(c["s"], Op.Transpose(Op.OrthogonalExp(c["a"], c["s"].Shape[^1]), -1, -2)), Op.LayerNorm(c["t"]))],
        ["einsum"] = c => [Einsum(c.Text("equation"), c.Inputs)],
    };

    /// <summary>
    /// The equations that the cases have, each as one would write it with the engine: products through MatMul, the rest by views.
    /// </summary>
    private static Tensor Einsum(string equation, Tensor[] x) => equation switch
    {
        "bhid,bhjd->bhij" => Op.MatMul(x[0], Op.Transpose(x[1], -2, -1)),
        "bhij,bhjd->bhid" => Op.MatMul(x[0], x[1]),
        "ij,kj->ik" => Op.MatMul(x[0], Op.Transpose(x[1], 0, 1)),
        "bchw,oc->bohw" => OverChannels(x[1], x[0]),
        "i,j->ij" => Op.Mul(Op.Reshape(x[0], x[0].Shape.Insert(1, 1)), x[1]),
        "bij->bji" => Op.Transpose(x[0], 1, 2),
        "bii->bi" => Diagonal(x[0], 0),
        "bqc,bchw->bqhw" => OverChannels(x[0], x[1]),
        "abc->" => Op.Sum(x[0]),
        "bnd,d->bn" => Op.MatMul(x[0], x[1]),
        "ij,jk,kl->il" => Op.MatMul(Op.MatMul(x[0], x[1]), x[2]),
        _ => throw new ArgumentException($"no case had the equation {equation}"),
    };

    /// <summary>x x^T.</summary>
    private static Tensor Gram(Tensor x) => Op.MatMul(x, Op.Transpose(x, -1, -2));

    private static Tensor Identity(OpCall c, int order)
    {
        long[] diagonal = [.. Enumerable.Range(0, order).Select(i => (long)i)];
        return Op.OneHot(c.Step.From(diagonal, [order]), order, c.Floats);
    }

    /// <summary>[.., o, c] times [b, c, h, w] over c.</summary>
    private static Tensor OverChannels(Tensor weight, Tensor x)
    {
        int b = x.Shape[0], c = x.Shape[1], h = x.Shape[2], w = x.Shape[3];
        return Op.Reshape(Op.MatMul(weight, Op.Reshape(x, [b, c, h * w])), [b, weight.Shape[^2], h, w]);
    }

    /// <summary>[n, m, d]: x[i] - y[j] for x [n, d] and y [m, d].</summary>
    private static Tensor Differences(Tensor x, Tensor y) => Op.Reshape(x, x.Shape.Insert(1, 1)) - y;
}
