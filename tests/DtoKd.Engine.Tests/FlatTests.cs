using DtoKd.Engine.Cpu;

namespace DtoKd.Engine.Tests;

public class FlatTests
{
    // Inside a vector, a block of 2048 and a piece of 128 blocks, at their ends, and over several pieces.
    public static TheoryData<int, int, DType> Sizes
    {
        get
        {
            var data = new TheoryData<int, int, DType>();
            foreach (int length in new[] { 0, 1, 5, 2047, 2049, 262144, 530001 })
            {
                for (int k = 1; k <= 4; k++)
                {
                    data.Add(k, length, DType.F32);
                    data.Add(k, length, DType.F64);
                }
            }

            return data;
        }
    }

    [Theory]
    [MemberData(nameof(Sizes))]
    public void The_Gram_matrix_equals_the_plain_sums(int k, int length, DType dtype)
    {
        using var device = new CpuDevice(2);
        using var step = Step.Evaluation(device);
        var gradients = Gradients(step, k, length, dtype, _ => 1);
        AssertGram(gradients, [new FlatRange(0, length)]);
    }

    [Theory]
    [InlineData(DType.F32)]
    [InlineData(DType.F64)]
    public void Gradients_of_very_different_size_keep_their_digits(DType dtype)
    {
        // The squares of 1e-30 and 1e20 are beyond single precision.
        double[] scales = [1e20, 1, 1e-20, 1e-30];
        using var device = new CpuDevice(2);
        using var step = Step.Evaluation(device);
        var gradients = Gradients(step, scales.Length, 40000, dtype, i => scales[i]);
        AssertGram(gradients, [new FlatRange(0, 40000)]);
    }

    [Fact]
    public void The_sums_run_over_the_ranges_only()
    {
        using var device = new CpuDevice(2);
        using var step = Step.Evaluation(device);
        var gradients = Gradients(step, 3, 50000, DType.F32, _ => 1);
        foreach (var gradient in gradients)
        {
            gradient.Span<float>()[..7].Fill(float.NaN);
            gradient.Span<float>()[40001..40010].Fill(float.PositiveInfinity);
        }

        AssertGram(gradients, [new FlatRange(7, 39994), new FlatRange(40010, 3), new FlatRange(45000, 0)]);
    }

    [Theory]
    [MemberData(nameof(Sizes))]
    public void A_mixture_into_any_of_its_inputs_equals_one_into_a_new_buffer(int k, int length, DType dtype)
    {
        double[] coefficients = [0.3, -1.7, 0.01, 2.5];
        coefficients = coefficients[..k];
        using var device = new CpuDevice(2);
        using var step = Step.Evaluation(device);
        var inputs = Gradients(step, k, length, dtype, _ => 1);
        var apart = step.Zeros([length], dtype);
        double square = Flat.Mix(inputs, coefficients, apart);

        var values = inputs.Select(input => input.ToDoubles()).ToArray();
        var mixed = apart.ToDoubles();
        for (int i = 0; i < length; i++)
        {
            double expected = 0;
            for (int j = 0; j < k; j++)
                expected += coefficients[j] * values[j][i];
            Assert.Equal(expected, mixed[i], dtype == DType.F64 ? 1e-14 : 1e-5);
        }

        double plain = mixed.Sum(value => value * value);
        Assert.Equal(plain, square, 1e-12 * plain);
        Assert.Equal(square, Flat.SquaredNorm(apart));
        for (int target = 0; target < k; target++)
        {
            var again = Gradients(step, k, length, dtype, _ => 1);
            Assert.Equal(square, Flat.Mix(again, coefficients, again[target]));
            Assert.Equal(mixed, again[target].ToDoubles());
        }
    }

    [Theory]
    [InlineData(DType.F32)]
    [InlineData(DType.F64)]
    public void Any_number_of_threads_gives_the_same_bytes(DType dtype)
    {
        var one = AllPasses(1, dtype);
        Assert.Equal(one, AllPasses(2, dtype));
        Assert.Equal(one, AllPasses(7, dtype));
    }

    [Fact]
    public void Buffers_and_ranges_that_do_not_fit_are_refused()
    {
        using var device = new CpuDevice(1);
        using var step = Step.Evaluation(device);
        Tensor five = step.Zeros([5]), six = step.Zeros([6]), doubles = step.Zeros([5], DType.F64);
        var whole = new FlatRange(0, 5);
        Refused("[6]", () => Flat.Gram([five, six], [whole], new double[4]));
        Refused("0 .. 6", () => Flat.Gram([five, five], [new FlatRange(0, 6)], new double[4]));
        Refused("-1 .. 5", () => Flat.Gram([five], [new FlatRange(-1, 6)], new double[1]));
        Refused("[5]", () => Flat.Mix([six], [1], five));
        Refused("F64", () => Flat.Mix([five, doubles], [1, 1], five));
        Refused("[6]", () => Flat.Add(six, five));
        Refused("[6]", () => Flat.Average(five, six, 0.1));
        Refused("[6]", () => Flat.Sgd(five, five, 1, six, whole, default));
        Refused("2 .. 7", () => Flat.Lion(five, five, 1, five, new FlatRange(2, 5), default));
        Refused("[6]", () => Flat.Adam(five, five, 1, five, five, six, whole, default));

        static void Refused(string part, Action pass) => Assert.Contains(part, Assert.Throws<ArgumentException>(pass).Message);
    }

    private static double[] AllPasses(int threads, DType dtype)
    {
        // Three pieces, so that there is something to share out.
        const int Length = 600001;
        using var device = new CpuDevice(threads);
        using var step = Step.Evaluation(device);
        var gradients = Gradients(step, 3, Length, dtype, i => i + 0.5);
        var gram = new double[9];
        Flat.Gram(gradients, [new FlatRange(0, 300003), new FlatRange(310000, Length - 310000)], gram);
        var mixed = step.Zeros([Length], dtype);
        double square = Flat.Mix(gradients, [0.2, 0.5, -0.3], mixed);
        var weights = Gradients(step, 1, Length, dtype, _ => 3)[0];
        Tensor first = step.Zeros([Length], dtype), second = step.Zeros([Length], dtype), velocity = step.Zeros([Length], dtype);
        var whole = new FlatRange(0, Length);
        for (int t = 1; t <= 2; t++)
        {
            Flat.Adam(weights, mixed, 0.7, first, second, null, whole, new AdamStep(1e-3, 0.9, 0.999, 1e-8, 0.05, t));
            Flat.Sgd(weights, mixed, 0.7, velocity, whole, new SgdStep(1e-2, 0.9, 1e-4, Nesterov: true));
        }

        Flat.Lion(weights, mixed, 0.7, first, whole, new LionStep(1e-4, 0.9, 0.99, 0.05));
        Flat.RmsProp(weights, mixed, 0.7, second, velocity, whole, new RmsPropStep(1e-3, 0.99, 0.9, 1e-8, 1e-4));
        Flat.Adagrad(weights, mixed, 0.7, first, whole, new AdagradStep(1e-2, 1e-10, 1e-4));
        Flat.Adam(weights, mixed, 0.7, velocity, second, first, whole, new AdamStep(1e-3, 0.9, 0.999, 1e-8, 0, 3, Coupled: 0.1));
        Flat.Clamp(mixed, 0.4);
        Flat.Average(velocity, weights, 0.01);
        return [.. gram, square, .. velocity.ToDoubles(), .. mixed.ToDoubles(), .. weights.ToDoubles()];
    }

    private static void AssertGram(Tensor[] gradients, FlatRange[] ranges)
    {
        int k = gradients.Length;
        var values = gradients.Select(gradient => gradient.ToDoubles()).ToArray();
        double Plain(int i, int j)
        {
            double sum = 0;
            foreach (var (start, length) in ranges)
            {
                for (long at = start; at < start + length; at++)
                    sum += values[i][at] * values[j][at];
            }

            return sum;
        }

        var gram = new double[k * k];
        Array.Fill(gram, double.NaN);
        Flat.Gram(gradients, ranges, gram);
        for (int i = 0; i < k; i++)
        {
            for (int j = 0; j < k; j++)
            {
                Assert.Equal(Plain(i, j), gram[(i * k) + j], 1e-12 * Math.Sqrt(Plain(i, i) * Plain(j, j)));
                Assert.Equal(gram[(i * k) + j], gram[(j * k) + i]);
            }
        }
    }

    private static Tensor[] Gradients(Step step, int k, int length, DType dtype, Func<int, double> scale) =>
        [.. Enumerable.Range(0, k).Select(i =>
        {
            var random = new Random(31 + i);
            var values = new double[length];
            for (int at = 0; at < length; at++)
                values[at] = scale(i) * ((2 * random.NextDouble()) - 1);
            return dtype == DType.F64
                ? step.From(values, [length])
                : step.From(Array.ConvertAll(values, v => (float)v), [length]);
        })];
}
