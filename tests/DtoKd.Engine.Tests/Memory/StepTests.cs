using DtoKd.Engine.Cpu;

namespace DtoKd.Engine.Tests.Memory;

public sealed class StepTests : IDisposable
{
    private readonly CpuDevice _device = new(1);

    public void Dispose() => _device.Dispose();

    [Fact]
    public void A_tensor_used_after_its_step_throws_and_names_the_operation_that_made_it()
    {
        Tensor product;
        using (var step = Step.Evaluation(_device))
            product = step.Full([2], 3) * step.Full([2], 4);
        var exception = Assert.Throws<ObjectDisposedException>(() => product.ToArray<float>());
        Assert.Contains("mul", exception.Message);
    }

    [Fact]
    public void A_kept_tensor_outlives_its_step_until_it_is_disposed()
    {
        Tensor kept;
        using (var step = Step.Evaluation(_device))
            kept = (step.Full([2], 3) * step.Full([2], 4)).Keep();
        Assert.Equal([12f, 12f], kept.ToArray<float>());
        kept.Dispose();
        Assert.Equal(0, _device.Pool.LiveBytes);
    }

    [Fact]
    public void A_scope_releases_what_it_does_not_return()
    {
        using var step = Step.Evaluation(_device);
        var x = step.Full([1000], 1);
        long before = _device.Pool.LiveBlocks;
        Tensor y;
        using (var scope = step.Scope())
            y = scope.Return((x + x) * x);
        Assert.Equal(before + 1, _device.Pool.LiveBlocks);
        Assert.Equal(2f, y.ToArray<float>()[0]);
    }

    [Fact]
    public void A_scope_that_returns_a_tensor_from_outside_leaves_it_alone()
    {
        using var step = Step.Evaluation(_device);
        var x = step.Full([3], 1);
        using (var scope = step.Scope())
            scope.Return(x);
        Assert.Equal(1f, x.ToArray<float>()[0]);
    }

    [Fact]
    public void What_the_tape_needs_survives_the_scope_that_made_it()
    {
        using var step = Step.Recording(_device);
        var x = step.Watch(step.Full([3], 2));
        Tensor y;
        using (var scope = step.Scope())
            y = scope.Return(Op.Sum(Op.Mul(x * x, x)));
        using var store = new GradStore();
        step.Tape.Backward(y, store);
        Assert.Equal([12f, 12f, 12f], store.Of(x)!.ToArray<float>());
    }

    [Fact]
    public void Activations_go_back_to_the_pool_during_the_last_backward_pass()
    {
        using var step = Step.Recording(_device);
        var x = step.Watch(step.Full([1000], 1.01));
        Tensor loss;
        using (var scope = step.Scope())
        {
            var y = x;
            for (int i = 0; i < 20; i++)
                y = Op.Mul(y, y);
            loss = scope.Return(Op.Sum(y));
        }

        long forward = _device.Pool.LiveBlocks;
        using var store = new GradStore();
        step.Tape.Backward(loss, store, retain: true);
        long retained = _device.Pool.LiveBlocks;
        step.Tape.Backward(loss, store);
        Assert.True(retained >= forward, "a retained tape keeps its activations");
        Assert.True(_device.Pool.LiveBlocks <= forward - 15, $"{_device.Pool.LiveBlocks} of {forward} blocks are left");
    }

    [Fact]
    public void Inputs_of_two_steps_do_not_mix()
    {
        using var one = Step.Evaluation(_device);
        using var two = Step.Evaluation(_device);
        var exception = Assert.Throws<InvalidOperationException>(() => one.Full([1], 1) + two.Full([1], 1));
        Assert.Contains("two different steps", exception.Message);
    }

    [Fact]
    public void A_tensor_on_the_tape_of_another_step_has_to_be_detached()
    {
        using var one = Step.Recording(_device);
        using var two = Step.Recording(_device);
        using var evaluation = Step.Evaluation(_device);
        var x = one.Watch(one.Full([1], 3));
        var y = x * x;
        Assert.Contains("Detach()", Assert.Throws<InvalidOperationException>(() => two.Use(y)).Message);
        Assert.Equal(9, two.Use(y.Detach()).Item());
        Assert.Equal(9, evaluation.Use(y).Item());
    }

    [Fact]
    public void Evaluating_restores_the_mode_and_records_nothing_inside()
    {
        using var step = Step.Training(_device);
        var x = step.Watch(step.Full([1], 1));
        using (step.Evaluating())
        {
            Assert.False(step.IsTraining);
            _ = x * x;
        }

        Assert.True(step.IsTraining && step.IsRecording);
        Assert.Equal(1, step.Tape.Length);
    }

    [Fact]
    public void A_pool_at_its_limit_says_so_and_what_to_do()
    {
        var pool = new Pool(limitBytes: 1 << 20);
        pool.Rent(1 << 19, "test");
        var exception = Assert.Throws<InsufficientMemoryException>(() => pool.Rent(1 << 20, "test"));
        Assert.Contains("lower the batch size", exception.Message);
    }

    [Theory]
    [InlineData(1, 64)]
    [InlineData(64, 64)]
    [InlineData(65, 128)]
    [InlineData(257, 320)]
    [InlineData(1025, 1280)]
    [InlineData((1 << 20) + 1, (1 << 20) + (1 << 18))]
    public void Size_classes_waste_at_most_a_quarter_above_the_smallest(long bytes, long expected) =>
        Assert.Equal(expected, Pool.SizeClass(bytes));

    [Fact]
    public void A_returned_block_is_used_again_and_trimming_gives_it_back()
    {
        var pool = new Pool();
        var first = pool.Rent(1000, "test");
        first.Release();
        Assert.Same(first, pool.Rent(1000, "test"));
        first.Release();
        pool.Trim();
        Assert.Equal((0, 0), (pool.ReservedBytes, pool.LiveBytes));
    }
}
