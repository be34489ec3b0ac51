namespace DtoKd.Engine.Tests.Fixtures;

internal static partial class OpMap
{
    private static Dictionary<string, OpFunction> Losses => new()
    {
        ["cross_entropy"] = c => [Op.CrossEntropy(
            c["x"],
            c["t"],
            ReductionOf(c),
            c.Number("label_smoothing"),
            c.Has("ignore_index") ? c.Int("ignore_index") : -100,
            c.Optional("w"))],
        ["soft_target_cross_entropy"] = c => [Op.CrossEntropy(c["x"], c["t"])],
        ["kd_kl"] = c => [Op.KlDivergence(c["s"], c["t"], c.Number("temperature"))],
        ["deit_distill_soft"] = c => [
            Op.KlDivergence(c["s"], c["t"], c.Number("temperature"), Reduction.Sum) * (1.0 / c["s"].Count)],
        ["deit_distill_hard"] = c => [Op.CrossEntropy(c["s"], Op.ArgMax(c["t"], 1))],
        ["nll_loss"] = c => [Op.NllLoss(c["x"], c["t"], ReductionOf(c))],
        ["mixup_target"] = c => [
            Op.MixupTarget(c["t"], c.Int("num_classes"), c.Number("lam"), c.Number("smoothing"), c.Floats)],
        ["kl_div"] = c => [Op.KlDiv(c["x"], c["t"])],
        ["mse"] = c => [Op.MseLoss(c["x"], c["y"], ReductionOf(c))],
        ["l1"] = c => [Op.L1Loss(c["x"], c["y"], ReductionOf(c))],
        ["smooth_l1"] = c => [Op.SmoothL1Loss(c["x"], c["y"], c.Number("beta"), ReductionOf(c))],
        ["huber"] = c => [Op.HuberLoss(c["x"], c["y"], c.Number("delta"), ReductionOf(c))],
        ["bce_with_logits"] = c => [Op.BceWithLogits(c["x"], c["t"], ReductionOf(c), c.Optional("w"), c.Optional("p"))],
        ["sigmoid_focal"] = c => [Op.SigmoidFocalLoss(
            c["x"], c["t"], c.Number("alpha"), c.Number("gamma"), ReductionOf(c))],
        ["cosine_similarity"] = c => [Op.CosineSimilarity(c["x"], c["y"], c.Int("dim"), c.Number("eps"))],
    };

    private static Reduction ReductionOf(OpCall c) => c.Text("reduction") switch
    {
        "none" => Reduction.None,
        "sum" => Reduction.Sum,
        _ => Reduction.Mean,
    };
}
