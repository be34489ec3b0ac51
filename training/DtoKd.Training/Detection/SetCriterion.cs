using DtoKd.Engine;

namespace DtoKd.Training.Detection;

/// <summary>
/// The losses of a set of predictions: each object is matched with one query, which shall predict its class and box; all other
/// queries shall predict nothing (Zhu et al.: "Deformable DETR", 2021). A detector with several decoder levels is asked once
/// per level.
/// </summary>
/// <param name="matcher">Who finds what.</param>
/// <param name="alpha">The focal loss's weight of positives.</param>
/// <param name="gamma">The focal loss's exponent.</param>
public sealed class SetCriterion(HungarianMatcher matcher, double alpha = 0.25, double gamma = 2)
{
    /// <summary>
    /// The sums of sigmoid focal losses over queries and classes, of L1 distances of matched boxes and of their 1 - GIoU, each
    /// divided by the number of objects in the batch (1 if there are none). No gradient flows through the matching.
    /// </summary>
    /// <param name="logits">[images, queries, classes].</param>
    /// <param name="boxes">[images, queries, 4]: centre and size as shares of the image.</param>
    /// <param name="targets">The objects of each image.</param>
    /// <returns>The three losses, not yet weighted, and what was matched.</returns>
    /// <exception cref="ArgumentException">
    /// Shapes or types do not fit, a label is none of the classes, or a prediction is NaN.
    /// </exception>
    public SetLosses Losses(Tensor logits, Tensor boxes, IReadOnlyList<DetectionTarget> targets)
    {
        var step = logits.Step ?? throw new ArgumentException("criterion: the logits belong to no step");
        if (logits.Shape.Rank != 3 || boxes.Shape != logits.Shape.With(2, 4))
        {
            throw new ArgumentException(
                $"criterion: got logits {logits.Shape} and boxes {boxes.Shape}, expected [n, q, classes] and [n, q, 4]");
        }

        if (targets.Count == 0 || targets.Count != logits.Shape[0])
        {
            throw new ArgumentException(
                $"criterion: got targets of {targets.Count} images for logits {logits.Shape}, expected one per image");
        }

        int queries = logits.Shape[1], classes = logits.Shape[2];
        var matches = new BoxMatches[targets.Count];
        // Rows of all images' predictions and of all images' objects, and the elements of the logits that shall be positive.
        List<long> predicted = [], wanted = [];
        var positive = new bool[logits.Count];
        int objects = 0;
        for (int image = 0; image < matches.Length; image++)
        {
            var match = matches[image] = matcher.Match(ImageOf(logits, image), ImageOf(boxes, image), targets[image]);
            var labels = targets[image].Labels.ToArray<long>();
            for (int i = 0; i < match.Queries.Count; i++)
            {
                long row = ((long)image * queries) + match.Queries[i];
                predicted.Add(row);
                wanted.Add(objects + match.Objects[i]);
                positive[(row * classes) + labels[match.Objects[i]]] = true;
            }

            objects += targets[image].Count;
        }

        double share = 1.0 / Math.Max(1, objects);
        var mask = step.From(positive, logits.Shape);
        var present = Op.Where(mask, step.Full([], 1, logits.DType), step.Full([], 0, logits.DType));
        var found = Op.IndexSelect(Op.Reshape(boxes, [matches.Length * queries, 4]), 0, Index(predicted));
        var sought = Op.IndexSelect(Op.Concat([.. targets.Select(target => target.Boxes)], 0), 0, Index(wanted));
        return new SetLosses(
            Op.SigmoidFocalLoss(logits, present, alpha, gamma, Reduction.Sum) * share,
            Op.L1Loss(found, sought, Reduction.Sum) * share,
            Op.GiouLoss(Op.BoxCxcywhToXyxy(found), Op.BoxCxcywhToXyxy(sought), Reduction.Sum, eps: 0) * share,
            matches);

        Tensor Index(List<long> rows) => step.From([.. rows], [rows.Count]);
    }

    private static Tensor ImageOf(Tensor x, int image) =>
        Op.Reshape(Op.Slice(x.Detach(), 0, image, image + 1), x.Shape.Without(0));
}

/// <summary>The losses of a set of predictions.</summary>
/// <param name="Class">The focal loss of all queries and classes.</param>
/// <param name="Box">The L1 distance of matched boxes.</param>
/// <param name="Giou">1 - GIoU of matched boxes.</param>
/// <param name="Matches">What was matched in each image.</param>
public sealed record SetLosses(Tensor Class, Tensor Box, Tensor Giou, IReadOnlyList<BoxMatches> Matches);
