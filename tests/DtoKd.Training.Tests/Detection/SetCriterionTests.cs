using DtoKd.Engine;
using DtoKd.Engine.Cpu;
using DtoKd.Training.Detection;

namespace DtoKd.Training.Tests.Detection;

/// <summary>Who is matched with whom, batches without objects, and input that does not fit.</summary>
public sealed class SetCriterionTests : IDisposable
{
    private readonly CpuDevice _device = new(2);

    [Fact]
    public void A_query_on_the_object_is_matched_and_loses_nothing_on_its_box()
    {
        using var step = Step.Evaluation(_device);
        var logits = step.From([-9f, -9f, -9f, 9f, -9f, -9f], [1, 3, 2]);
        var boxes = step.From([0.2f, 0.2f, 0.1f, 0.1f, 0.5f, 0.5f, 0.2f, 0.4f, 0.8f, 0.8f, 0.1f, 0.1f], [1, 3, 4]);
        var target = new DetectionTarget(step.From([1L], [1]), step.From([0.5f, 0.5f, 0.2f, 0.4f], [1, 4]));
        var losses = new SetCriterion(new HungarianMatcher()).Losses(logits, boxes, [target]);
        Assert.Equal([1L], losses.Matches[0].Queries);
        Assert.Equal([0L], losses.Matches[0].Objects);
        Assert.Equal(0, losses.Box.Item());
        Assert.Equal(0, losses.Giou.Item(), 1e-6);
        Assert.InRange(losses.Class.Item(), 0, 1e-6);
    }

    [Fact]
    public void Of_two_queries_on_one_object_the_surer_one_is_matched()
    {
        using var step = Step.Evaluation(_device);
        var logits = step.From([0f, 2f], [2, 1]);
        var boxes = step.From([0.5f, 0.5f, 0.2f, 0.2f, 0.5f, 0.5f, 0.2f, 0.2f], [2, 4]);
        var match = new HungarianMatcher().Match(logits, boxes, Object(step, 0));
        Assert.Equal([1L], match.Queries);
    }

    [Fact]
    public void Without_objects_all_queries_learn_to_predict_nothing_and_boxes_get_no_gradient()
    {
        using var step = Step.Recording(_device);
        var logits = step.Watch(step.From([0f, 0f, 0f, 0f], [2, 2, 1]));
        var boxes = step.Watch(step.Full([2, 2, 4], 0.5));
        var none = new DetectionTarget(step.Zeros([0], DType.I64), step.Zeros([0, 4]));
        var losses = new SetCriterion(new HungarianMatcher()).Losses(logits, boxes, [none, none]);
        // Four times 0.75 0.5^2 log 2, divided by one object at least.
        Assert.Equal(4 * 0.75 * 0.25 * Math.Log(2), losses.Class.Item(), 1e-6);
        Assert.Equal(0, losses.Box.Item());
        Assert.Equal(0, losses.Giou.Item());
        using var store = new GradStore();
        step.Tape.Backward(losses.Class + losses.Box + losses.Giou, store);
        Assert.All(store.Of(logits)!.ToDoubles(), slope => Assert.True(slope > 0));
        Assert.All(store.Of(boxes)?.ToDoubles() ?? [0], slope => Assert.Equal(0, slope));
    }

    [Fact]
    public void The_matcher_leaves_nothing_behind_but_its_indices()
    {
        using var step = Step.Evaluation(_device);
        var logits = step.Zeros([5, 3]);
        var boxes = step.Full([5, 4], 0.5);
        var target = Object(step, 2);
        long before = _device.Pool.LiveBytes;
        new HungarianMatcher().Match(logits, boxes, target);
        Assert.Equal(before, _device.Pool.LiveBytes);
    }

    [Fact]
    public void What_does_not_fit_is_refused_with_its_shape()
    {
        using var step = Step.Evaluation(_device);
        var criterion = new SetCriterion(new HungarianMatcher());
        var logits = step.Zeros([1, 5, 3]);
        var boxes = step.Full([1, 5, 4], 0.5);
        Refused("boxes [5, 4], expected", () => criterion.Losses(logits, step.Zeros([5, 4]), [Object(step, 0)]));
        Refused("targets of 2 images for logits [1, 5, 3]", () => criterion.Losses(
            logits, boxes, [Object(step, 0), Object(step, 0)]));
        Refused("label 3 of object 0 is none of 3 classes", () => criterion.Losses(logits, boxes, [Object(step, 3)]));
        Refused("labels are I64 [2], expected I64 [1]", () => criterion.Losses(
            logits, boxes, [Object(step, 0) with { Labels = step.From([0L, 1L], [2]) }]));
        Refused("target boxes are F32 [1, 3], expected F32 [m, 4]", () => criterion.Losses(
            logits, boxes, [Object(step, 0) with { Boxes = step.Zeros([1, 3]) }]));
        Refused("is NaN", () => criterion.Losses(step.Full([1, 5, 3], double.NaN), boxes, [Object(step, 0)]));
    }

    public void Dispose() => _device.Dispose();

    private static DetectionTarget Object(Step step, long label) =>
        new(step.From([label], [1]), step.From([0.5f, 0.5f, 0.2f, 0.2f], [1, 4]));

    private static void Refused(string message, Action action) =>
        Assert.Contains(message, Assert.Throws<ArgumentException>(action).Message);
}
