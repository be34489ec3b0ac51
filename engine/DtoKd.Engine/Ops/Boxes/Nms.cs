using static DtoKd.Engine.OpInput;

namespace DtoKd.Engine;

public static partial class Op
{
    /// <summary>
    /// Non-maximum suppression: goes through the boxes by falling score and keeps those whose intersection over union with every
    /// box kept before is at most a threshold. Equal scores keep their order; overlaps are computed in double precision.
    /// </summary>
    /// <param name="boxes">[n, 4] corners (x0, y0, x1, y1) with x0 at most x1 and y0 at most y1.</param>
    /// <param name="scores">[n] floats; NaN counts as larger than every number.</param>
    /// <param name="iouThreshold">From 0 .. 1.</param>
    /// <returns>I64 [kept]: the indices of the boxes kept, by falling score.</returns>
    /// <exception cref="ArgumentException">The shapes or types do not fit, or the threshold is out of range.</exception>
    /// <exception cref="InvalidOperationException">A gradient flows through an input: there is no derivative.</exception>
    public static Tensor Nms(Tensor boxes, Tensor scores, double iouThreshold) =>
        Suppress("nms", boxes, scores, classes: null, iouThreshold);

    /// <summary><see cref="Nms"/> within each class: boxes of different classes do not suppress each other.</summary>
    /// <param name="boxes">[n, 4] corners (x0, y0, x1, y1) with x0 at most x1 and y0 at most y1.</param>
    /// <param name="scores">[n] floats; NaN counts as larger than every number.</param>
    /// <param name="classes">I64 [n]: the class of each box.</param>
    /// <param name="iouThreshold">From 0 .. 1.</param>
    /// <returns>I64 [kept]: the indices of the boxes kept, of all classes together by falling score.</returns>
    /// <exception cref="ArgumentException">The shapes or types do not fit, or the threshold is out of range.</exception>
    /// <exception cref="InvalidOperationException">A gradient flows through an input: there is no derivative.</exception>
    public static Tensor BatchedNms(Tensor boxes, Tensor scores, Tensor classes, double iouThreshold)
    {
        if (classes.DType != DType.I64 || classes.Shape.Rank != 1)
            throw new ArgumentException($"batched_nms: got classes {classes.DType} {classes.Shape}, expected I64 [n]");
        return Suppress("batched_nms", boxes, scores, classes, iouThreshold);
    }

    private static Tensor Suppress(string op, Tensor boxes, Tensor scores, Tensor? classes, double iouThreshold)
    {
        var step = Step.Of(op, boxes, scores, classes);
        step.RefuseGradient(op, boxes, scores);
        RequireBoxList(op, "boxes", boxes);
        int count = boxes.Shape[0];
        Require.Shape(op, "scores", scores, [count], boxes);
        if (classes is not null && classes.Shape[0] != count)
            throw new ArgumentException($"{op}: got classes {classes.Shape} for {count} boxes, expected [{count}]");
        if (iouThreshold is not (>= 0 and <= 1))
            throw new ArgumentException($"{op}: iouThreshold is {iouThreshold}, expected 0 .. 1");

        var order = OrderOf(step, scores);
        var corners = boxes.ToDoubles();
        long[]? classOf = classes?.ToArray<long>();
        var kept = new List<long>();
        foreach (long candidate in order)
        {
            bool overlaps = false;
            for (int i = 0; i < kept.Count && !overlaps; i++)
            {
                overlaps = (classOf is null || classOf[kept[i]] == classOf[candidate])
                    && IouOf(corners.AsSpan((int)kept[i] * 4, 4), corners.AsSpan((int)candidate * 4, 4)) > iouThreshold;
            }

            if (!overlaps)
                kept.Add(candidate);
        }

        return step.From([.. kept], [kept.Count]);
    }

    private static long[] OrderOf(Step step, Tensor scores)
    {
        using (step.Scope())
            return Sort(scores, 0, descending: true).Indices.ToArray<long>();
    }

    private static double IouOf(ReadOnlySpan<double> a, ReadOnlySpan<double> b)
    {
        double width = Math.Max(0, Math.Min(a[2], b[2]) - Math.Max(a[0], b[0]));
        double height = Math.Max(0, Math.Min(a[3], b[3]) - Math.Max(a[1], b[1]));
        double intersection = width * height;
        return intersection / (((a[2] - a[0]) * (a[3] - a[1])) + ((b[2] - b[0]) * (b[3] - b[1])) - intersection);
    }

    internal static OpDeclaration NmsDeclaration => new(nameof(Nms))
    {
        IsDifferentiable = false,
        Samples =
        [
            new("some", [SampleBoxes(40, 4), Float(40)], t => Nms(BoxCxcywhToXyxy(t[0]), t[1], 0.5)),
            new("few", [SampleBoxes(40, 4), Float(40)], t => Nms(BoxCxcywhToXyxy(t[0]), t[1], 0)),
            new("all", [SampleBoxes(9, 4), Float(9)], t => Nms(BoxCxcywhToXyxy(t[0]), t[1], 1)),
            new("none", [Float(0, 4), Float(0)], t => Nms(t[0], t[1], 0.5)),
        ],
        Errors =
        [
            new("boxes", [Float(3, 5), Float(3)], t => Nms(t[0], t[1], 0.5), "got boxes F32 [3, 5], expected floats [n, 4]"),
            new("scores", [Float(3, 4), Float(2)], t => Nms(t[0], t[1], 0.5), "scores has shape [2], expected [3]"),
            new("threshold", [Float(3, 4), Float(3)], t => Nms(t[0], t[1], 1.5), "iouThreshold is 1.5, expected 0 .. 1"),
            new("NaN", [Float(3, 4), Float(3)], t => Nms(t[0], t[1], double.NaN), "iouThreshold is NaN"),
        ],
    };

    internal static OpDeclaration BatchedNmsDeclaration => new(nameof(BatchedNms))
    {
        IsDifferentiable = false,
        Samples =
        [
            new("three classes", [SampleBoxes(40, 4), Float(40), Index(3, 40)],
                t => BatchedNms(BoxCxcywhToXyxy(t[0]), t[1], t[2], 0.4)),
            new("none", [Float(0, 4), Float(0), Index(3, 0)], t => BatchedNms(t[0], t[1], t[2], 0.5)),
        ],
        Errors =
        [
            new("count", [Float(3, 4), Float(3), Index(3, 2)],
                t => BatchedNms(t[0], t[1], t[2], 0.5), "got classes [2] for 3 boxes"),
            new("type", [Float(3, 4), Float(3), Float(3)],
                t => BatchedNms(t[0], t[1], t[2], 0.5), "got classes F32 [3], expected I64 [n]"),
        ],
    };
}
