namespace DtoKd.Engine.Tests.Fixtures;

internal static partial class OpMap
{
    private static Dictionary<string, OpFunction> Detection => new()
    {
        ["box_cxcywh_to_xyxy"] = c => [Op.BoxCxcywhToXyxy(c["x"])],
        ["box_xyxy_to_cxcywh"] = c => [Op.BoxXyxyToCxcywh(c["x"])],
        ["box_iou"] = c => [Op.BoxIou(c["a"], c["b"])],
        ["generalized_box_iou"] = c => [Op.GeneralizedBoxIou(c["a"], c["b"])],
        ["giou_loss"] = c => [Op.GiouLoss(c["a"], c["b"], ReductionOf(c), c.Number("eps"))],
        ["diou_loss"] = c => [Op.DiouLoss(c["a"], c["b"], ReductionOf(c), c.Number("eps"))],
        ["ciou_loss"] = c => [Op.CiouLoss(c["a"], c["b"], ReductionOf(c), c.Number("eps"))],
        ["nms"] = c => [Op.Nms(c["b"], c["s"], c.Number("iou_threshold"))],
        ["batched_nms"] = c => [Op.BatchedNms(c["b"], c["s"], c["i"], c.Number("iou_threshold"))],
        ["linear_sum_assignment"] = c => Both(Op.LinearSumAssignment(c["c"])),
        ["sine_position"] = c => [Op.SinePosition(
            c["mask"], c.Int("num_pos_feats"), c.Number("temperature"), eps: c.Number("eps"), dtype: c.Floats)],
    };
}
