namespace DtoKd.Engine.Tests.Fixtures;

internal static partial class OpMap
{
    private static Dictionary<string, OpFunction> Reductions => new()
    {
        ["sum"] = c => [Op.Sum(c["x"], c.Axes(), c.Flag("keepdim"))],
        ["mean"] = c => [Op.Mean(c["x"], c.Axes(), c.Flag("keepdim"))],
        ["var"] = c => [Op.Var(c["x"], c.Axes(), c.Int("correction"), c.Flag("keepdim"))],
        ["std"] = c => [Op.Std(c["x"], c.Axes(), c.Int("correction"), c.Flag("keepdim"))],
        ["amax"] = c => [Op.Amax(c["x"], c.Axes(), c.Flag("keepdim"))],
        ["norm2"] = c => [Op.Norm(c["x"], 2, c.Axes(), c.Flag("keepdim"))],
        ["norm1"] = c => [Op.Norm(c["x"], 1, c.Axes(), c.Flag("keepdim"))],
        ["norminf"] = c => [Op.Norm(c["x"], double.PositiveInfinity, c.Axes(), c.Flag("keepdim"))],
        ["prod"] = c => [Op.Prod(c["x"], c.Axes(), c.Flag("keepdim"))],
        ["logsumexp"] = c => [Op.LogSumExp(c["x"], [c.Int("dim")])],
        ["max"] = c => [Op.Amax(c["x"], [c.Int("dim")]), Op.ArgMax(c["x"].Detach(), c.Int("dim"))],
        ["min"] = c => [Op.Amin(c["x"], [c.Int("dim")]), Op.ArgMin(c["x"].Detach(), c.Int("dim"))],
        ["argmax"] = c => [Op.ArgMax(c["x"], c.Has("dim") ? c.Int("dim") : null)],
        ["argmin"] = c => [Op.ArgMin(c["x"], c.Int("dim"), c.Flag("keepdim"))],
        ["topk"] = c => Both(Op.TopK(c["x"], c.Int("k"), c.Int("dim"), c.Flag("largest"))),
        ["sort"] = c => Both(Op.Sort(c["x"], c.Int("dim"), c.Flag("descending"))),
        ["cumsum"] = c => [Op.CumSum(c["x"], c.Int("dim"))],
        ["cumprod"] = c => [Op.CumProd(c["x"], c.Int("dim"))],
        ["any"] = c => [Op.Any(c["x"], [c.Int("dim")])],
        ["all"] = c => [Op.All(c["x"], [c.Int("dim")])],
    };

    private static Tensor[] Both((Tensor Values, Tensor Indices) sorted) => [sorted.Values, sorted.Indices];
}
