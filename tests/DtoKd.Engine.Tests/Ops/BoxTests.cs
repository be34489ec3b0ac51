using DtoKd.Engine.Cpu;

namespace DtoKd.Engine.Tests.Ops;

/// <summary>Boxes whose overlaps are known by hand; order and ties of non-maximum suppression.</summary>
public sealed class BoxTests : IDisposable
{
    private readonly CpuDevice _device = new(2);

    [Fact]
    public void Overlaps_of_squares_equal_their_counts_of_cells()
    {
        using var step = Step.Evaluation(_device);
        var a = step.From([0.0, 0, 2, 2], [1, 4]);
        // One cell shared of seven; a common side; one square apart; the same.
        var b = step.From([1.0, 1, 3, 3, 2, 0, 4, 2, 4, 0, 6, 2, 0, 0, 2, 2], [4, 4]);
        AssertClose([1.0 / 7, 0, 0, 1], Op.BoxIou(a, b));
        AssertClose([(1.0 / 7) - (2.0 / 9), 0, -1.0 / 3, 1], Op.GeneralizedBoxIou(a, b));
    }

    [Fact]
    public void Losses_equal_their_formulas_by_hand()
    {
        using var step = Step.Evaluation(_device);
        var a = step.From([0.0, 0, 2, 2, 0, 0, 2, 2], [2, 4]);
        var b = step.From([1.0, 1, 3, 3, 0, 0, 2, 4], [2, 4]);
        AssertClose([1 - (1.0 / 7) + (2.0 / 9), 0.5], Op.GiouLoss(a, b, Reduction.None, eps: 0));
        AssertClose([1 - (1.0 / 7) + (2.0 / 18), 0.5 + (1.0 / 20)], Op.DiouLoss(a, b, Reduction.None, eps: 0));
        double angle = Math.Atan(0.5) - Math.Atan(1), v = 4 / (Math.PI * Math.PI) * angle * angle;
        AssertClose(
            [1 - (1.0 / 7) + (2.0 / 18), 0.5 + (1.0 / 20) + (v * v / (0.5 + v))], Op.CiouLoss(a, b, Reduction.None, eps: 0));
    }

    [Fact]
    public void Losses_of_empty_boxes_are_finite()
    {
        using var step = Step.Evaluation(_device);
        var point = step.From([1f, 1f, 1f, 1f], [1, 4]);
        Assert.Equal(1, Op.GiouLoss(point, point).Item());
        Assert.Equal(1, Op.DiouLoss(point, point).Item());
    }

    [Fact]
    public void Corners_and_centres_are_inverse()
    {
        using var step = Step.Evaluation(_device);
        var corners = Op.BoxCxcywhToXyxy(step.From([2.0, 3, 2, 4], [1, 4]));
        Assert.Equal([1, 1, 3, 5], corners.ToDoubles());
        Assert.Equal([2, 3, 2, 4], Op.BoxXyxyToCxcywh(corners).ToDoubles());
    }

    [Fact]
    public void The_weight_of_the_aspect_ratio_counts_as_a_constant()
    {
        using var step = Step.Recording(_device);
        var a = step.Watch(step.From([0.0, 0, 2, 2], [1, 4]));
        var b = step.From([0.0, 0, 2, 4], [1, 4]);
        double angle = Math.Atan(0.5) - Math.Atan(1), v = 4 / (Math.PI * Math.PI) * angle * angle;
        using GradStore whole = new(), distance = new();
        step.Tape.Backward(Op.CiouLoss(a, b, eps: 0), whole, retain: true);
        step.Tape.Backward(Op.DiouLoss(a, b, eps: 0), distance);
        // d atan(w / h) / dw = h / (w^2 + h^2) = 1/4, and x1 adds to w.
        double slope = v / (0.5 + v) * (4 / (Math.PI * Math.PI)) * 2 * angle * -0.25;
        Assert.Equal(slope, whole.Of(a)!.ToDoubles()[2] - distance.Of(a)!.ToDoubles()[2], 1e-12);
    }

    [Fact]
    public void Suppression_starts_at_the_best_and_only_above_the_threshold()
    {
        using var step = Step.Evaluation(_device);
        // IoU 1/3 of the first two, 1/3 of the last two, 0 of the outer ones.
        var boxes = step.From([0f, 0, 2, 1, 1, 0, 3, 1, 2, 0, 4, 1], [3, 4]);
        var middleFirst = step.From([0.1f, 0.9f, 0.2f], [3]);
        Assert.Equal([1L], Op.Nms(boxes, middleFirst, 0.3).ToArray<long>());
        Assert.Equal([1L, 2L, 0L], Op.Nms(boxes, middleFirst, 1.0 / 3).ToArray<long>());
        // What was suppressed suppresses nothing.
        Assert.Equal([0L, 2L], Op.Nms(boxes, step.From([0.9f, 0.5f, 0.2f], [3]), 0.3).ToArray<long>());
    }

    [Fact]
    public void Of_equal_scores_the_first_is_kept()
    {
        using var step = Step.Evaluation(_device);
        var boxes = step.From([0f, 0, 1, 1, 0, 0, 1, 1, 5, 5, 6, 6], [3, 4]);
        Assert.Equal([0L, 2L], Op.Nms(boxes, step.Full([3], 0.5), 0.5).ToArray<long>());
    }

    [Fact]
    public void Classes_are_suppressed_apart()
    {
        using var step = Step.Evaluation(_device);
        var boxes = step.From([0f, 0, 1, 1, 0, 0, 1, 1, 0, 0, 1, 1, -1, -1, 1, 1], [4, 4]);
        var scores = step.From([0.1f, 0.4f, 0.3f, 0.2f], [4]);
        Assert.Equal([1L, 2L], Op.BatchedNms(boxes, scores, step.From([7L, 7L, -3L, 7L], [4]), 0.2).ToArray<long>());
        Assert.Equal([1L, 2L, 3L, 0L], Op.BatchedNms(boxes, scores, step.From([0L, 1L, 2L, 3L], [4]), 0.2).ToArray<long>());
    }

    public void Dispose() => _device.Dispose();

    private static void AssertClose(double[] expected, Tensor actual)
    {
        var values = actual.ToDoubles();
        Assert.Equal(expected.Length, values.Length);
        for (int i = 0; i < values.Length; i++)
            Assert.Equal(expected[i], values[i], 1e-14);
    }
}
