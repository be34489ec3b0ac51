using static DtoKd.Engine.OpInput;

namespace DtoKd.Engine;

public static partial class Op
{
    /// <summary>
    /// 1 - GIoU of each box and its target, with GIoU = I / (U + eps) - (C - U) / (C + eps): I and U are the areas of
    /// intersection and union, C that of the smallest box around both (Rezatofighi et al.: "Generalized intersection over union",
    /// 2019).
    /// </summary>
    /// <param name="boxes">[..., 4] corners (x0, y0, x1, y1) with x0 at most x1 and y0 at most y1.</param>
    /// <param name="targets">Boxes of the same shape; a gradient flows through both.</param>
    /// <param name="reduction">The mean is over all boxes.</param>
    /// <param name="eps">Keeps the divisors of empty boxes from 0; 0 or more.</param>
    /// <returns>A scalar, or without reduction one value per box.</returns>
    /// <exception cref="ArgumentException">The shapes or types do not fit, or eps is negative.</exception>
    public static Tensor GiouLoss(Tensor boxes, Tensor targets, Reduction reduction = Reduction.Mean, double eps = 1e-7)
    {
        RequireBoxTargets("giou_loss", boxes, targets, eps);
        var giou = Giou(boxes, targets, eps);
        return Reduce(Affine(giou, -1, 1), reduction, giou.Count);
    }

    /// <summary>
    /// 1 - IoU + d^2 / (c^2 + eps) of each box and its target, with IoU = I / (U + eps), d the distance of the centres and c the
    /// diagonal of the smallest box around both (Zheng et al.: "Distance-IoU loss", 2020).
    /// </summary>
    /// <inheritdoc cref="GiouLoss"/>
    public static Tensor DiouLoss(Tensor boxes, Tensor targets, Reduction reduction = Reduction.Mean, double eps = 1e-7)
    {
        RequireBoxTargets("diou_loss", boxes, targets, eps);
        var (loss, _) = Diou(boxes, targets, eps);
        return Reduce(loss, reduction, loss.Count);
    }

    /// <summary>
    /// The DIoU loss of each box and its target plus a v, with v = (2 / pi (atan(w'/h') - atan(w/h)))^2 the difference of the
    /// aspect ratios and a = v / (1 - IoU + v + eps) a weight through which no gradient flows (Zheng et al.: "Distance-IoU loss",
    /// 2020). A box without height has no gradient.
    /// </summary>
    /// <inheritdoc cref="GiouLoss"/>
    public static Tensor CiouLoss(Tensor boxes, Tensor targets, Reduction reduction = Reduction.Mean, double eps = 1e-7)
    {
        RequireBoxTargets("ciou_loss", boxes, targets, eps);
        var (loss, iou) = Diou(boxes, targets, eps);
        var v = Square(Affine(Sub(BoxAngle(targets), BoxAngle(boxes)), 2 / Math.PI));
        var constant = v.Detach();
        var weight = Div(constant, Affine(Sub(constant, iou.Detach()), 1, 1 + eps));
        loss = Add(loss, Mul(weight, v));
        return Reduce(loss, reduction, loss.Count);
    }

    private static (Tensor Loss, Tensor Iou) Diou(Tensor boxes, Tensor targets, double eps)
    {
        var (intersection, union) = BoxOverlap(boxes, targets);
        var iou = Div(intersection, Affine(union, 1, eps));
        var diagonal = Sum(Square(BoxHull(boxes, targets)), [-1]);
        // Twice the centre, hence a quarter of the square.
        var apart = Sub(BoxCornerSum(boxes), BoxCornerSum(targets));
        var distance = Affine(Sum(Square(apart), [-1]), 0.25);
        return (Add(Affine(iou, -1, 1), Div(distance, Affine(diagonal, 1, eps))), iou);
    }

    private static Tensor BoxCornerSum(Tensor boxes) => Add(Slice(boxes, -1, 0, 2), Slice(boxes, -1, 2));

    /// <summary>atan(width / height) of each box.</summary>
    private static Tensor BoxAngle(Tensor boxes)
    {
        var size = BoxSize(boxes);
        return Reshape(Atan(Div(Slice(size, -1, 0, 1), Slice(size, -1, 1))), boxes.Shape.Without(-1));
    }

    private static void RequireBoxTargets(string op, Tensor boxes, Tensor targets, double eps)
    {
        RequireBoxes(op, "boxes", boxes);
        Require.Shape(op, "targets", targets, boxes.Shape, boxes);
        if (!(eps >= 0))
            throw new ArgumentException($"{op}: eps {eps}, expected 0 or more");
    }

    internal static OpDeclaration GiouLossDeclaration => BoxLoss(nameof(GiouLoss), GiouLoss);

    internal static OpDeclaration DiouLossDeclaration => BoxLoss(nameof(DiouLoss), DiouLoss);

    // The weight counts as a constant, so the gradient is not that of the value; golden values check it.
    internal static OpDeclaration CiouLossDeclaration => BoxLoss(nameof(CiouLoss), CiouLoss, gradCheck: false);

    private static OpDeclaration BoxLoss(
        string name, Func<Tensor, Tensor, Reduction, double, Tensor> op, bool gradCheck = true) => new(name)
        {
            Samples =
            [
                new("mean", [SampleBoxes(6, 4), SampleBoxes(6, 4)],
                    t => op(BoxCxcywhToXyxy(t[0]), BoxCxcywhToXyxy(t[1]), Reduction.Mean, 1e-7)) { GradCheck = gradCheck },
                new("sum of a batch", [SampleBoxes(2, 3, 4), SampleBoxes(2, 3, 4)],
                    t => op(BoxCxcywhToXyxy(t[0]), BoxCxcywhToXyxy(t[1]), Reduction.Sum, 0)) { GradCheck = gradCheck },
                new("apart", [Float(7, 4), Float(7, 4)],
                    t => op(BoxSorted(t[0]), BoxSorted(t[1]), Reduction.None, 1e-7)) { GradCheck = gradCheck },
                new("none", [SampleBoxes(0, 4), SampleBoxes(0, 4)], t => op(t[0], t[1], Reduction.Sum, 1e-7)),
            ],
            Errors =
            [
                new("shape", [Float(2, 3), Float(2, 3)],
                    t => op(t[0], t[1], Reduction.Mean, 0), "got boxes F32 [2, 3], expected floats [..., 4]"),
                new("targets", [Float(2, 4), Float(3, 4)],
                    t => op(t[0], t[1], Reduction.Mean, 0), "targets has shape [3, 4], expected [2, 4]"),
                new("eps", [Float(2, 4), Float(2, 4)], t => op(t[0], t[1], Reduction.Mean, -1), "eps -1, expected 0 or more"),
            ],
        };
}
