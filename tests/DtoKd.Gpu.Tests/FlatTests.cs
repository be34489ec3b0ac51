using DtoKd.Engine;
using DtoKd.Engine.Cpu;

namespace DtoKd.Gpu.Tests;

/// <summary>The single passes over flat buffers against the CPU's.</summary>
public class FlatTests
{
    // More than one piece of the sums, and not a multiple of a group.
    private const int Length = 33_001;

    public static TheoryData<string> Passes => [.. _passes.Keys];

    private static readonly Dictionary<string, Action<Tensor[]>> _passes = new()
    {
        ["Adam"] = t => Flat.Adam(t[0], t[1], 0.5, t[2], t[3], null, Range, new AdamStep(0.01, 0.9, 0.99, 1e-8, 0.05, 3)),
        ["Adam, coupled"] = t => Flat.Adam(t[0], t[1], 1, t[2], t[3], null, Range, new AdamStep(0.01, 0.9, 0.99, 1e-8, 0, 1, 0.1)),
        ["AMSGrad"] = t => Flat.Adam(t[0], t[1], 1, t[2], t[3], t[4], Range, new AdamStep(0.01, 0.9, 0.99, 1e-8, 0, 2)),
        ["SGD"] = t => Flat.Sgd(t[0], t[1], 0.5, t[2], Range, new SgdStep(0.1, 0.9, 0.01, false, 0.8)),
        ["Nesterov"] = t => Flat.Sgd(t[0], t[1], 1, t[2], Range, new SgdStep(0.1, 0.9, 0, true)),
        ["RMSprop"] = t => Flat.RmsProp(t[0], t[1], 0.5, t[3], t[2], Range, new RmsPropStep(0.1, 0.9, 0.5, 1e-3, 0.01)),
        ["Adagrad"] = t => Flat.Adagrad(t[0], t[1], 0.5, t[3], Range, new AdagradStep(0.1, 1e-3, 0.01)),
        ["Lion"] = t => Flat.Lion(t[0], t[1], 0.5, t[2], Range, new LionStep(0.01, 0.9, 0.99, 0.1)),
        ["Average"] = t => Flat.Average(t[0], t[1], 0.125),
        ["Clamp"] = t => Flat.Clamp(t[0], 0.7),
    };

    // Some elements at both ends stay as they are.
    private static FlatRange Range => new(5, Length - 11);

    [Theory]
    [MemberData(nameof(Passes))]
    public void A_pass_changes_the_weights_and_states_as_on_the_CPU(string pass)
    {
        using var cpu = new CpuDevice(1);
        var expected = Run(cpu, _passes[pass]);
        var actual = Run(TestDevice.Gpu, _passes[pass]);
        for (int k = 0; k < expected.Length; k++)
        {
            for (int i = 0; i < Length; i++)
                Assert.True(Math.Abs(expected[k][i] - actual[k][i]) <= 2e-6, $"buffer {k}, element {i}: {actual[k][i]}, not {expected[k][i]}");
        }
    }

    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    public void The_Gram_matrix_is_that_of_doubles(int k)
    {
        using var step = Step.Evaluation(TestDevice.Gpu);
        var gradients = Enumerable.Range(0, k).Select(i => step.From(Values(i), [Length])).ToArray();
        FlatRange[] ranges = [new(3, 1000), new(2000, 0), new(4000, 28_000)];
        var gram = new double[k * k];
        Flat.Gram(gradients, ranges, gram);
        for (int i = 0; i < k; i++)
        {
            for (int j = 0; j < k; j++)
            {
                float[] a = Values(i), b = Values(j);
                double sum = ranges.Sum(range => Enumerable.Range((int)range.Start, (int)range.Length).Sum(at => (double)a[at] * b[at]));
                Assert.Equal(sum, gram[(i * k) + j], 1e-9 * Length);
            }
        }
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(4)]
    [InlineData(5)]
    [InlineData(9)]
    public void A_mixture_may_take_the_place_of_any_gradient(int k)
    {
        using var step = Step.Evaluation(TestDevice.Gpu);
        double[] factors = [.. Enumerable.Range(1, k).Select(i => 1.0 / i)];
        for (int place = 0; place < k; place++)
        {
            var gradients = Enumerable.Range(0, k).Select(i => step.From(Values(i)[..100], [100])).ToArray();
            double square = Flat.Mix(gradients, factors, gradients[place]);
            var mixed = gradients[place].ToDoubles();
            for (int i = 0; i < 100; i++)
                Assert.Equal(Enumerable.Range(0, k).Sum(j => factors[j] * Values(j)[i]), mixed[i], 2e-6);
            Assert.Equal(mixed.Sum(value => value * value), square, 1e-9);
        }
    }

    [Fact]
    public void A_counter_counts()
    {
        using var step = Step.Evaluation(TestDevice.Gpu);
        var counter = step.From([41L], []);
        Flat.Increment(counter);
        Assert.Equal(42, counter.Item());
    }

    private static float[][] Run(Device device, Action<Tensor[]> pass)
    {
        using var step = Step.Evaluation(device);
        // Weights, gradient, a state of any sign and two that are sums of squares.
        var buffers = Enumerable.Range(0, 5)
            .Select(i => step.From(i < 3 ? Values(i) : Array.ConvertAll(Values(i), value => value * value), [Length])).ToArray();
        pass(buffers);
        return [.. buffers.Select(buffer => buffer.ToArray<float>())];
    }

    private static float[] Values(int seed)
    {
        var random = new Random(seed);
        return [.. Enumerable.Range(0, Length).Select(_ => (float)((2 * random.NextDouble()) - 1))];
    }
}
