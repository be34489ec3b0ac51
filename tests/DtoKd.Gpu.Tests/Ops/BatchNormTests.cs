using DtoKd.Engine;
using DtoKd.Engine.Cpu;

namespace DtoKd.Gpu.Tests.Ops;

/// <summary>Statistics that outlive a step.</summary>
public class BatchNormTests
{
    [Theory]
    [InlineData(0.1)]
    [InlineData(1)]
    public void Running_statistics_move_as_on_the_CPU_and_evaluation_uses_them(double momentum)
    {
        using var cpu = new CpuDevice(1);
        float[][] expected = Run(cpu, momentum), actual = Run(TestDevice.Gpu, momentum);
        for (int k = 0; k < expected.Length; k++)
        {
            for (int i = 0; i < expected[k].Length; i++)
                Assert.Equal(expected[k][i], actual[k][i], 1e-5 * Math.Max(1, Math.Abs(expected[k][i])));
        }
    }

    // The running mean and variance after three batches, and the result of an evaluation.
    private static float[][] Run(Device device, double momentum)
    {
        const int Channels = 5;
        using var step = Step.Training(device);
        Tensor mean = step.Zeros([Channels]), variance = step.Full([Channels], 1);
        Tensor Batch(int number) => step.From(
            Array.ConvertAll(Enumerable.Range(0, 4 * Channels * 9).ToArray(), i => (3 * MathF.Sin(i * number)) + (i % 7) + number),
            [4, Channels, 3, 3]);
        for (int number = 1; number <= 3; number++)
            Op.BatchNorm(Batch(number), null, null, mean, variance, training: true, momentum);
        var y = Op.BatchNorm(Batch(4), null, null, mean, variance, training: false);
        return [mean.ToArray<float>(), variance.ToArray<float>(), y.ToArray<float>()];
    }
}
