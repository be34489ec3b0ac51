using DtoKd.Engine.Cpu;

namespace DtoKd.Engine.Tests.Autograd;

public sealed class AnomalyTests : IDisposable
{
    private readonly CpuDevice _device = new(1);
    private readonly ParameterArena _arena;
    private readonly Parameter _weight;
    private readonly Parameter _scale;

    public AnomalyTests()
    {
        _arena = new ParameterArena(_device);
        _weight = _arena.Root["blocks"][0].Parameter("weight", [2, 3], (values, _, _) => values.Clear());
        _scale = _arena.Root["head"].Parameter("scale", [3], (values, _, _) => values.Fill(1));
        _arena.Seal(0);
    }

    public void Dispose()
    {
        _arena.Dispose();
        _device.Dispose();
    }

    [Fact]
    public void Names_the_first_operation_whose_result_is_not_finite_and_the_parameter_before_it()
    {
        using var step = Step.Training(_device, number: 6, detectAnomalies: true);
        var y = Op.MatMul(step.Full([4, 2], 1), _weight);
        var anomaly = Assert.Throws<AnomalyException>(() => Op.Sum(Op.Exp(Op.Log(y))));
        Assert.Equal((6UL, "log", false), (anomaly.Step, anomaly.Op, anomaly.IsBackward));
        Assert.Equal(
            "step 7: the forward pass of log gave -infinity (12 of 12 elements of [4, 3]); after blocks.0.weight", anomaly.Message);
    }

    [Fact]
    public void Names_the_parameter_that_the_operation_reads()
    {
        using var step = Step.Training(_device, detectAnomalies: true);
        var anomaly = Assert.Throws<AnomalyException>(() => Op.Div(step.Full([3], 1), Op.Mul(_scale, step.Full([3], 0))));
        Assert.Equal(("div", "after head.scale"), (anomaly.Op, anomaly.Where));
        anomaly = Assert.Throws<AnomalyException>(() => Op.Mul(step.Full([3], 3e38), Op.Mul(_scale, step.Full([3], 1e3))));
        Assert.Equal(("mul", "after head.scale"), (anomaly.Op, anomaly.Where));
        anomaly = Assert.Throws<AnomalyException>(() => Op.Div(_scale, step.Full([3], 0)));
        Assert.Equal(("div", "with head.scale"), (anomaly.Op, anomaly.Where));
    }

    [Fact]
    public void Finds_what_goes_wrong_in_the_backward_pass_only()
    {
        // The root's slope at 0 is infinite; times the 0 that comes from behind it is NaN.
        using var step = Step.Training(_device, detectAnomalies: true);
        using var store = new GradStore(_arena);
        var root = Op.Sqrt(Op.MatMul(step.Full([1, 2], 1), _weight));
        var loss = Op.Sum(Op.Mul(Op.Mul(root, root), step.Full([3], 0.5)));
        var anomaly = Assert.Throws<AnomalyException>(() => step.Tape.Backward(loss, store));
        Assert.Equal(("sqrt", true, "after blocks.0.weight"), (anomaly.Op, anomaly.IsBackward, anomaly.Where));
        Assert.Contains("the backward pass of sqrt gave NaN", anomaly.Message);
    }

    [Fact]
    public void Finds_results_that_no_gradient_flows_through_and_broken_inputs()
    {
        using var step = Step.Training(_device, detectAnomalies: true);
        using (step.Evaluating())
        {
            // A frozen teacher's operations are on no tape: the next reader notices.
            var log = Op.Log(step.Full([3], 0));
            Assert.Equal("log", Assert.Throws<AnomalyException>(() => Op.Exp(log)).Op);
        }

        _scale.Value.Span<float>()[1] = float.NaN;
        var anomaly = Assert.Throws<AnomalyException>(() => Op.Exp(step.Use(_scale)) + Op.Exp(_scale));
        Assert.Contains("head.scale, read by", anomaly.Message);
        Assert.Contains("input, read by exp", Assert.Throws<AnomalyException>(() => Op.Exp(step.From([float.NaN], [1]))).Message);
    }

    [Fact]
    public void An_infinite_mask_is_no_anomaly()
    {
        using var step = Step.Training(_device, detectAnomalies: true);
        var x = step.Watch(step.Full([2, 3], 1));
        var mask = step.From([0f, 0, float.NegativeInfinity, 0, 0, 0], [2, 3]);
        Op.Attention(step.Watch(step.Full([2, 4], 1)), step.Full([3, 4], 1), step.Full([3, 4], 1), mask);
        Assert.Equal(6, Op.Sum(x).Item());
    }

    [Fact]
    public void Nobody_is_disturbed_who_did_not_ask()
    {
        using var step = Step.Training(_device);
        using var store = new GradStore(_arena);
        var loss = Op.Sum(Op.Log(Op.MatMul(step.Full([4, 2], 1), _weight)));
        step.Tape.Backward(loss, store);
        Assert.Equal(double.NegativeInfinity, loss.Item());
    }
}
