using DtoKd.Engine;

namespace DtoKd.Training.Detection;

/// <summary>
/// Gives each object of an image one query, so that the sum of the costs is least. A pair costs a weighted sum of three terms:
/// the focal loss of the object's class as a positive minus that as a negative, the L1 distance of the boxes, and minus their
/// generalised IoU (Zhu et al.: "Deformable DETR", 2021, after Carion et al.: "End-to-end object detection with transformers",
/// 2020).
/// </summary>
/// <param name="classCost">The weight of the class term.</param>
/// <param name="boxCost">The weight of the L1 distance of centres and sizes.</param>
/// <param name="giouCost">The weight of the generalised IoU.</param>
/// <param name="alpha">The focal loss's weight of positives.</param>
/// <param name="gamma">The focal loss's exponent.</param>
public sealed class HungarianMatcher(
    double classCost = 2, double boxCost = 5, double giouCost = 2, double alpha = 0.25, double gamma = 2)
{
    // Inside the logarithms, as in the authors' code.
    private const double Epsilon = 1e-8;

    /// <summary>The cost of each pair. No gradient flows through it.</summary>
    /// <param name="logits">[queries, classes] of one image.</param>
    /// <param name="boxes">[queries, 4]: centre and size.</param>
    /// <param name="target">The image's objects.</param>
    /// <returns>[queries, objects].</returns>
    /// <exception cref="ArgumentException">Shapes or types do not fit, or a label is none of the classes.</exception>
    public Tensor Cost(Tensor logits, Tensor boxes, DetectionTarget target)
    {
        target.Check("matcher", logits, boxes);
        boxes = boxes.Detach();
        var targetBoxes = target.Boxes.Detach();
        var apart = Op.Reshape(boxes, [boxes.Shape[0], 1, 4]) - Op.Reshape(targetBoxes, [1, target.Count, 4]);
        var giou = Op.GeneralizedBoxIou(Op.BoxCxcywhToXyxy(boxes), Op.BoxCxcywhToXyxy(targetBoxes));
        var ofClass = Op.IndexSelect(ClassCost(logits.Detach()), 1, target.Labels);
        return (Op.Norm(apart, 1, [-1]) * boxCost) + (ofClass * classCost) - (giou * giouCost);
    }

    /// <summary>Matches one image.</summary>
    /// <param name="logits">[queries, classes] of one image.</param>
    /// <param name="boxes">[queries, 4]: centre and size.</param>
    /// <param name="target">The image's objects.</param>
    /// <returns>min(queries, objects) pairs, by rising query.</returns>
    /// <exception cref="ArgumentException">
    /// Shapes or types do not fit, a label is none of the classes, or a cost is NaN: a prediction is, or a box and its target
    /// are both without area.
    /// </exception>
    public BoxMatches Match(Tensor logits, Tensor boxes, DetectionTarget target)
    {
        var step = logits.Step ?? throw new ArgumentException("matcher: the logits belong to no step");
        using (step.Scope())
        {
            var (queries, objects) = Op.LinearSumAssignment(Cost(logits, boxes, target));
            return new BoxMatches(queries.ToArray<long>(), objects.ToArray<long>());
        }
    }

    /// <summary>[queries, classes]: what predicting a class would save, were it there.</summary>
    private Tensor ClassCost(Tensor logits)
    {
        Tensor p = Op.Sigmoid(logits), q = Op.Affine(p, -1, 1);
        var positive = Op.PowScalar(q, gamma) * Op.Log(p + Epsilon);
        var negative = Op.PowScalar(p, gamma) * Op.Log(q + Epsilon);
        return (negative * (1 - alpha)) - (positive * alpha);
    }
}

/// <summary>Which query found which object of an image.</summary>
/// <param name="Queries">The indices of queries, rising.</param>
/// <param name="Objects">The object of each.</param>
public sealed record BoxMatches(IReadOnlyList<long> Queries, IReadOnlyList<long> Objects);
