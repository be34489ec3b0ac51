using DtoKd.Engine.Cpu;

namespace DtoKd.Engine.Tests.Devices;

public sealed class OpProfileTests
{
    [Fact]
    public void Operations_are_counted_by_calls_however_many_tensors_they_make_and_time_goes_back_to_the_caller()
    {
        using var device = new CpuDevice(1) { Profile = new OpProfile() };
        using (var step = Step.Training(device))
        {
            var x = step.Watch(step.Full([2, 3], 1));
            // The mean and the deviation are kept for the backward pass.
            var y = Op.LayerNorm(x, null, null);
            Op.LayerNorm(y, null, null);
            // The number is a tensor of its own.
            Op.MaskedFill(y, Op.Lt(y.Detach(), x.Detach()), 2);
            step.Tape.GradientsAt(Op.Sum(y), [x]);
        }

        var calls = device.Profile.Entries.ToDictionary(entry => entry.Op, entry => entry.Calls);
        Assert.Equal(2, calls["layer_norm"]);
        Assert.Equal(1, calls["layer_norm backward"]);
        Assert.Equal(1, calls["lt"]);
        Assert.Equal(1, calls["maskedfill"]);
        Assert.Equal(1, calls["where"]);
        Assert.Equal(1, calls["sum"]);
        Assert.Equal(3, calls["full"]);
    }
}
