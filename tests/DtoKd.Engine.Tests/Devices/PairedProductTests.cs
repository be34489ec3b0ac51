using DtoKd.Engine.Cpu;

namespace DtoKd.Engine.Tests.Devices;

/// <summary>What products that add beside their multiply-adds keep of plain ones.</summary>
public sealed unsafe class PairedProductTests
{
    private const int M = 103, N = 131, K = 445;

    public enum Form
    {
        Forward,
        InputGradient,
        WeightGradient,
    }

    public static TheoryData<Form> Forms => [Form.Forward, Form.InputGradient, Form.WeightGradient];

    [Theory]
    [InlineData("normal", 1.4)]
    [InlineData("positive", 3.5)]
    [InlineData("half zeros", 2.5)]
    [InlineData("large mean", 5)]
    [InlineData("few large steps", 4)]
    public void Errors_are_a_small_multiple_of_plain_ones(string kind, double most)
    {
        // Against exact sums, by the lengths of row and column; the plain error is what the same machine's AVX-512 level makes.
        var random = new Random(7);
        float[] a = Normal(random, M * K), b = Normal(random, K * N);
        for (int i = 0; i < a.Length; i++)
        {
            a[i] = kind switch
            {
                "positive" => Math.Abs(a[i]),
                "half zeros" => Math.Max(a[i], 0),
                "large mean" => 3 + a[i],
                "few large steps" => i % K % 97 == 5 ? 50 * a[i] : a[i],
                _ => a[i],
            };
        }

        foreach (var form in Enum.GetValues<Form>())
        {
            float[] plainSums = Product(SimdLevel.Avx512, form, a, b), pairedSums = Product(SimdLevel.Zen4, form, a, b);
            // These shapes are large enough to be paired; or else there would be nothing to compare.
            Assert.NotEqual(plainSums, pairedSums);
            double plain = Error(a, b, plainSums), paired = Error(a, b, pairedSums);
            Assert.True(paired <= most * plain, $"{kind}, {form}: {paired:E2} against {plain:E2}");
        }
    }

    [Theory]
    [MemberData(nameof(Forms))]
    public void Rows_and_columns_of_any_size_have_results_as_exact_as_those_of_one(Form form)
    {
        // Powers of two change no digit: neither of a row's own results nor, as they do in a sum with a common scale, of the others'.
        var random = new Random(8);
        float[] a = Normal(random, M * K), b = Normal(random, K * N), scaledA = [.. a], scaledB = [.. b];
        int[] rows = [.. Enumerable.Range(0, M).Select(_ => random.Next(-40, 41))], columns = [.. Enumerable.Range(0, N).Select(_ => random.Next(-40, 41))];
        for (int i = 0; i < a.Length; i++)
            scaledA[i] = MathF.ScaleB(a[i], rows[i / K]);
        for (int i = 0; i < b.Length; i++)
            scaledB[i] = MathF.ScaleB(b[i], columns[i % N]);
        float[] expected = Product(SimdLevel.Zen4, form, a, b), actual = Product(SimdLevel.Zen4, form, scaledA, scaledB);
        for (int i = 0; i < expected.Length; i++)
            Assert.Equal(MathF.ScaleB(expected[i], rows[i / N] + columns[i % N]), actual[i]);
    }

    [Theory]
    [MemberData(nameof(Forms))]
    public void A_row_or_column_of_zeros_gives_zeros(Form form)
    {
        var random = new Random(9);
        float[] a = Normal(random, M * K), b = Normal(random, K * N);
        a.AsSpan(17 * K, K).Clear();
        for (int step = 0; step < K; step++)
            b[(step * N) + 100] = 0;
        float[] c = Product(SimdLevel.Zen4, form, a, b);
        for (int i = 0; i < c.Length; i++)
            Assert.Equal(i / N == 17 || i % N == 100, c[i] == 0);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(13)]
    public void In_the_forward_pass_a_row_is_the_same_whatever_the_others_are(int rows)
    {
        var random = new Random(10);
        float[] a = Normal(random, M * K), b = Normal(random, K * N);
        float[] all = Product(SimdLevel.Zen4, Form.Forward, a, b);
        float[] some = Product(SimdLevel.Zen4, Form.Forward, a[..(rows * K)], b);
        Assert.Equal(all[..(rows * N)], some);
    }

    private static float[] Normal(Random random, int count)
    {
        float[] values = new float[count];
        foreach (ref float value in values.AsSpan())
            value = (float)(Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble()));
        return values;
    }

    /// <summary>AB with the operands laid out as a linear layer's are in its forward pass and for its two gradients.</summary>
    private static float[] Product(SimdLevel simd, Form form, float[] a, float[] b)
    {
        int rows = a.Length / K;
        float[] left = form == Form.WeightGradient ? Transposed(a, rows, K) : a;
        float[] right = form == Form.Forward ? Transposed(b, K, N) : b;
        float[] c = new float[rows * N];
        fixed (float* aData = left, bData = right, cData = c)
        {
            var aView = form == Form.WeightGradient ? new MatrixView(aData, 1, rows) : new MatrixView(aData, K);
            var bView = form == Form.Forward ? new MatrixView(bData, 1, K) : new MatrixView(bData, N);
            Gemm.RunSerial(simd, rows, N, K, aView, bView, cData, N);
        }

        return c;
    }

    private static float[] Transposed(float[] values, int rows, int columns)
    {
        float[] result = new float[values.Length];
        for (int i = 0; i < values.Length; i++)
            result[(i % columns * rows) + (i / columns)] = values[i];
        return result;
    }

    /// <summary>The root mean square of the errors, each by the lengths of its row and column.</summary>
    private static double Error(float[] a, float[] b, float[] c)
    {
        double[] rows = [.. Enumerable.Range(0, M).Select(i => Math.Sqrt(Enumerable.Range(0, K).Sum(k => Square(a[(i * K) + k]))))];
        double[] columns = [.. Enumerable.Range(0, N).Select(j => Math.Sqrt(Enumerable.Range(0, K).Sum(k => Square(b[(k * N) + j]))))];
        double total = 0;
        for (int i = 0; i < M; i++)
        {
            for (int j = 0; j < N; j++)
            {
                double sum = 0;
                for (int k = 0; k < K; k++)
                    sum += (double)a[(i * K) + k] * b[(k * N) + j];
                total += Square((c[(i * N) + j] - sum) / (rows[i] * columns[j]));
            }
        }

        return Math.Sqrt(total / (M * N));

        static double Square(double x) => x * x;
    }
}
