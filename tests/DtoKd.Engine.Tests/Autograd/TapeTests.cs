using DtoKd.Engine.Cpu;

namespace DtoKd.Engine.Tests.Autograd;

public sealed class TapeTests : IDisposable
{
    private readonly CpuDevice _device = new(1);
    private readonly ParameterArena _arena;
    private readonly Parameter _a;
    private readonly Parameter _b;

    public TapeTests()
    {
        _arena = new ParameterArena(_device);
        _a = _arena.Root["part"].Parameter("a", [3], (values, _, _) => values.Fill(2));
        _b = _arena.Root["part"].Parameter("b", [3], (values, _, _) => values.Fill(5));
        _arena.Seal(seed: 0);
    }

    public void Dispose()
    {
        _arena.Dispose();
        Assert.Equal(0, _device.Pool.LiveBytes);
        _device.Dispose();
    }

    [Fact]
    public void Two_objectives_on_one_tape_fill_two_stores()
    {
        using var first = new GradStore(_arena);
        using var second = new GradStore(_arena);
        using var step = Step.Training(_device);
        var x = step.Full([3], 1);
        var shared = x * _a;
        var one = Op.Sum(shared * shared);
        var two = Op.Sum(shared * _b);
        step.Tape.Backward(one, first, retain: true);
        step.Tape.Backward(two, second);
        Assert.Equal([4f, 4f, 4f], first.Of(_a).ToArray<float>());
        Assert.Equal([5f, 5f, 5f], second.Of(_a).ToArray<float>());
        Assert.Equal([2f, 2f, 2f], second.Of(_b).ToArray<float>());
    }

    [Fact]
    public void A_parameter_that_a_loss_does_not_reach_gets_zeros_whatever_was_there()
    {
        using var store = new GradStore(_arena);
        store.Flat.Span<float>().Fill(7);
        using var step = Step.Training(_device);
        step.Tape.Backward(Op.Sum(step.Full([3], 1) * _a), store);
        Assert.False(store.Reached(_b));
        Assert.Equal([0f, 0f, 0f], store.Of(_b).ToArray<float>());
        Assert.Equal([1f, 1f, 1f], store.Of(_a).ToArray<float>());
    }

    [Fact]
    public void Several_uses_of_a_tensor_add_their_gradients_without_touching_the_incoming_one()
    {
        using var store = new GradStore();
        using var step = Step.Recording(_device);
        var x = step.Watch(step.Full([2], 3));
        // The sum passes the same gradient tensor to both summands; adding into it in place would count it twice.
        var y = (x + x) + (x * x);
        step.Tape.Backward(Op.Sum(y), store);
        Assert.Equal([8f, 8f], store.Of(x)!.ToArray<float>());
    }

    [Fact]
    public void Backward_from_more_than_one_number_is_refused()
    {
        using var store = new GradStore(_arena);
        using var step = Step.Training(_device);
        var exception = Assert.Throws<InvalidOperationException>(() => step.Tape.Backward(step.Full([3], 1) * _a, store));
        Assert.Contains("[3]", exception.Message);
    }

    [Fact]
    public void Backward_from_a_loss_without_parameters_is_refused()
    {
        using var store = new GradStore(_arena);
        using var step = Step.Training(_device);
        Assert.Throws<InvalidOperationException>(() => step.Tape.Backward(Op.Sum(step.Full([3], 1)), store));
    }

    [Fact]
    public void A_frozen_parameter_is_not_recorded()
    {
        _arena.Freeze();
        using var step = Step.Training(_device);
        _ = step.Full([3], 1) * _a;
        Assert.Equal(0, step.Tape.Length);
        foreach (var parameter in _arena.Parameters)
            parameter.RequiresGrad = true;
    }

    [Fact]
    public void A_parameter_of_another_arena_is_refused_by_name()
    {
        using var other = new ParameterArena(_device);
        other.Root.Parameter("w", [1], (values, _, _) => values.Clear());
        other.Seal(0);
        using var store = new GradStore(other);
        using var step = Step.Training(_device);
        var exception = Assert.Throws<InvalidOperationException>(() => step.Tape.Backward(Op.Sum(step.Full([3], 1) * _a), store));
        Assert.Contains("part.a", exception.Message);
    }

    [Fact]
    public void Gradients_at_a_cut_are_those_of_watched_tensors_and_go_no_further()
    {
        using var store = new GradStore(_arena);
        using var step = Step.Training(_device);
        var early = step.From([1f, 2f, 3f], [3]) * _a;
        var late = early * early;
        // The loss reaches the early tensor directly, through the late one, and through a parameter on the way.
        var loss = Op.Sum((late * _b) + early);
        var gradients = step.Tape.GradientsAt(loss, [early, late]);
        Assert.Equal([1f, 1f, 1f], gradients[0]!.ToArray<float>());
        Assert.Equal([5f, 5f, 5f], gradients[1]!.ToArray<float>());

        // The tape is as it was: d loss/da = x (1 + 2 b early) with early = 2 x.
        step.Tape.Backward(loss, store);
        Assert.Equal([21f, 82f, 183f], store.Of(_a).ToArray<float>());
        Assert.Equal([4f, 16f, 36f], store.Of(_b).ToArray<float>());
    }

    [Fact]
    public void Gradients_at_a_cut_seed_a_pass_that_gives_the_gradients_of_what_is_behind_it()
    {
        using var whole = new GradStore(_arena);
        using var behind = new GradStore(_arena);
        using var step = Step.Training(_device);
        var shared = Op.Tanh(step.From([1f, 2f, 3f], [3]) * _a);
        var loss = Op.Sum(Op.Square(shared * _b));
        step.Tape.Backward(shared, step.Tape.GradientsAt(loss, [shared])[0]!, behind, retain: true);
        step.Tape.Backward(loss, whole);
        Assert.Equal(whole.Of(_a).ToArray<float>(), behind.Of(_a).ToArray<float>());
        Assert.True(whole.Reached(_b));
        Assert.False(behind.Reached(_b));
    }

    [Fact]
    public void A_cut_that_a_loss_does_not_reach_has_no_gradient_there()
    {
        using var step = Step.Training(_device);
        var x = step.Full([3], 1);
        Tensor one = x * _a, other = x * _b;
        Assert.Null(step.Tape.GradientsAt(Op.Sum(one), [other])[0]);
        // The loss itself may be the cut.
        var loss = Op.Sum(one);
        Assert.Equal([1f], step.Tape.GradientsAt(loss, [loss])[0]!.ToArray<float>());
        Assert.Throws<InvalidOperationException>(() => step.Tape.GradientsAt(loss, [x]));
    }

    [Fact]
    public void Detach_stops_the_gradient()
    {
        using var store = new GradStore();
        using var step = Step.Recording(_device);
        var x = step.Watch(step.Full([2], 3));
        step.Tape.Backward(Op.Sum(x * x.Detach()), store);
        Assert.Equal([3f, 3f], store.Of(x)!.ToArray<float>());
    }

    [Fact]
    public void Names_are_prefixes_joined_by_dots_and_each_is_declared_once()
    {
        Assert.Equal("part.a", _a.Name);
        using var arena = new ParameterArena(_device);
        arena.Root["x"][0].Parameter("w", [1], (values, _, _) => values.Clear());
        var exception = Assert.Throws<InvalidOperationException>(() => arena.Root["x"][0].Buffer("w", [1], 0));
        Assert.Contains("x.0.w", exception.Message);
        arena.Seal(0);
    }

    [Fact]
    public void Parameters_start_at_cache_lines_and_ranges_merge_neighbours()
    {
        Assert.Equal((0L, 16L), (_a.Offset, _b.Offset));
        Assert.Equal([new FlatRange(0, 32)], _arena.Ranges(_ => true));
        Assert.Equal([new FlatRange(16, 16)], _arena.Ranges(parameter => parameter == _b));
    }

    [Fact]
    public void What_decays_lies_together_whatever_the_order_of_declaration()
    {
        using var arena = new ParameterArena(_device);
        for (int layer = 0; layer < 3; layer++)
        {
            arena.Root[layer].Parameter("weight", [2, 9], (values, _, _) => values.Fill(1));
            arena.Root[layer].Parameter("bias", [9], (values, _, _) => values.Fill(2));
        }

        arena.Seal(seed: 0);
        Assert.Equal([new FlatRange(0, 3 * 32)], arena.Ranges(parameter => parameter.Decays));
        Assert.Equal([new FlatRange(3 * 32, 3 * 16)], arena.Ranges(parameter => !parameter.Decays));
        Assert.Equal(["0.weight", "0.bias", "1.weight", "1.bias", "2.weight", "2.bias"], arena.Parameters.Select(parameter => parameter.Name));
        Assert.All(arena.Parameters, parameter => Assert.All(parameter.Value.ToArray<float>(), value => Assert.Equal(parameter.Decays ? 1 : 2, value)));
    }
}
