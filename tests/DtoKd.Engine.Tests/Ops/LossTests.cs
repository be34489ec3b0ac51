using DtoKd.Engine.Cpu;

namespace DtoKd.Engine.Tests.Ops;

public class LossTests
{
    [Fact]
    public void Even_logits_cost_the_logarithm_of_the_number_of_classes()
    {
        using var device = new CpuDevice(1);
        using var step = Step.Evaluation(device);
        var x = step.Zeros([3, 10]);
        var labels = step.From([0L, 4, 9], [3]);
        Assert.Equal(Math.Log(10), Op.CrossEntropy(x, labels).Item(), 1e-6);
        Assert.Equal(Math.Log(10), Op.CrossEntropy(x, labels, labelSmoothing: 0.3).Item(), 1e-6);
        Assert.Equal(3 * Math.Log(10), Op.CrossEntropy(x, labels, Reduction.Sum).Item(), 1e-5);
    }

    [Fact]
    public void Huge_logits_give_a_finite_loss_and_gradient()
    {
        using var device = new CpuDevice(1);
        using var step = Step.Recording(device);
        var x = step.Watch(step.From([10_000f, -10_000, 0], [1, 3]));
        var loss = Op.CrossEntropy(x, step.From([1L], [1]));
        Assert.Equal(20_000, loss.Item(), 1e-2);
        using var store = new GradStore();
        step.Tape.Backward(loss, store);
        Assert.Equal([1f, -1, 0], store.Of(x)!.ToArray<float>());
    }

    [Fact]
    public void Ignored_samples_count_nothing_and_get_no_gradient_and_a_mean_of_none_is_NaN()
    {
        using var device = new CpuDevice(1);
        using var step = Step.Recording(device);
        var x = step.Watch(step.From([0f, 0, 5, 1], [2, 2]));
        var loss = Op.CrossEntropy(x, step.From([0L, -100], [2]));
        Assert.Equal(Math.Log(2), loss.Item(), 1e-6);
        using var store = new GradStore();
        step.Tape.Backward(loss, store);
        Assert.Equal([-0.5f, 0.5f, 0, 0], store.Of(x)!.ToArray<float>());
        Assert.True(double.IsNaN(Op.CrossEntropy(x, step.From([-100L, -100], [2])).Item()));
    }

    [Fact]
    public void Probabilities_of_one_class_are_its_label()
    {
        using var device = new CpuDevice(1);
        using var step = Step.Evaluation(device);
        var x = step.From([0.3f, -1.2f, 2, 0.7f, 0, 1], [2, 3]);
        var hot = step.From([0f, 0, 1, 1, 0, 0], [2, 3]);
        double expected = Op.CrossEntropy(x, step.From([2L, 0], [2]), labelSmoothing: 0.1).Item();
        Assert.Equal(expected, Op.CrossEntropy(x, hot, labelSmoothing: 0.1).Item(), 1e-6);
        Assert.Equal(expected, Op.Affine(Op.NllLoss(Op.LogSoftmax(x), step.From([2L, 0], [2])), 0.9).Item()
            + (0.1 * -Op.Sum(Op.LogSoftmax(x)).Item() / 6), 1e-6);
    }

    [Fact]
    public void A_teacher_s_impossible_class_costs_nothing_and_equal_distributions_cost_0()
    {
        using var device = new CpuDevice(1);
        using var step = Step.Evaluation(device);
        var teacher = step.From([0f, 0, float.NegativeInfinity], [1, 3]);
        // p = (1/2, 1/2, 0) against q = (1/3, 1/3, 1/3).
        Assert.Equal(4 * Math.Log(1.5), Op.KlDivergence(step.Zeros([1, 3]), teacher, 2).Item(), 1e-5);
        // Logits that differ by a constant are the same distribution.
        var student = step.From([1f, 2, 3], [1, 3]);
        Assert.Equal(0, Op.KlDivergence(student, Op.Affine(student, 1, 64), 2).Item(), 1e-6);
    }

    [Fact]
    public void Parabola_and_line_meet_where_the_parameter_says()
    {
        using var device = new CpuDevice(1);
        using var step = Step.Evaluation(device);
        Tensor x = step.From([0f, 1, 2, -3], [4]), y = step.Zeros([4]);
        Assert.Equal([0f, 0.25f, 1, 2], Op.SmoothL1Loss(x, y, 2, Reduction.None).ToArray<float>());
        Assert.Equal([0f, 0.5f, 2, 4], Op.HuberLoss(x, y, 2, Reduction.None).ToArray<float>());
        Assert.Equal([0f, 1, 2, 3], Op.SmoothL1Loss(x, y, 0, Reduction.None).ToArray<float>());
    }
}
