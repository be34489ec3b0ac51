using DtoKd.Engine;
using DtoKd.Engine.Cpu;

namespace DtoKd.Models.Tests;

public sealed class BlockChainTests : IDisposable
{
    private readonly CpuDevice _device = new(2);

    public void Dispose()
    {
        Assert.Equal(0, _device.Pool.LiveBytes);
        _device.Dispose();
    }

    [Theory]
    [InlineData("regnety")]
    [InlineData("swin")]
    [InlineData("deit")]
    public void What_lies_between_two_blocks_is_let_go_of_as_soon_as_it_has_been_read(string family)
    {
        Assert.Equal(Bytes(2), Bytes(6));

        (long Live, long Peak) Bytes(int depth)
        {
            using var arena = new ParameterArena(_device);
            var spec = new ImageSpec(3, 32, 32, 5);
            VisionModel model = family switch
            {
                "regnety" => new RegNetY(arena.Root, spec, new RegNetYConfig(8, [16, 32], [depth, depth], 8)),
                "swin" => new Swin(arena.Root, spec, new SwinConfig(4, 16, [depth], [2], 4)),
                _ => new DeiT(arena.Root, spec, new DeiTConfig(8, 16, depth, 2)),
            };
            arena.Seal(seed: 1);
            using var step = Step.Evaluation(_device);
            var images = step.Zeros([2, 3, 32, 32]);
            long before = _device.Pool.LiveBytes;
            _device.Pool.ResetPeak();
            model.Forward(images);
            return (_device.Pool.LiveBytes - before, _device.Pool.PeakBytes - before);
        }
    }
}
