using DtoKd.Engine;
using DtoKd.Engine.Gpu;

namespace DtoKd.Gpu.Tests.Ops;

/// <summary>Every kernel of matrix products on every form of operands, whatever kernel a product of that shape would get.</summary>
public class ProductTests
{
    private const int M = 140, N = 132, K = 83;

    public static TheoryData<bool, string> Forms => new(
        from isLarge in new[] { true, false }
        from form in _forms.Keys
        select (isLarge, form));

    // Vectors of four need sizes and strides that are multiples of four: some forms have them, some do not.
    private static readonly Dictionary<string, Func<Step, (Tensor A, Tensor B)>> _forms = new()
    {
        ["rows by rows"] = step => (Values(step, M, K), Values(step, K, N)),
        ["rows by columns"] = step => (Values(step, M, K), Op.Transpose(Values(step, N, K), 0, 1)),
        ["columns by rows"] = step => (Op.Transpose(Values(step, K, M), 0, 1), Values(step, K, N)),
        ["columns by columns"] = step => (Op.Transpose(Values(step, K, M), 0, 1), Op.Transpose(Values(step, N, K), 0, 1)),
        ["odd sizes"] = step => (Op.Transpose(Values(step, K, M + 1), 0, 1), Values(step, K, N + 3)),
        ["off by one"] = step => (Op.Slice(Values(step, M, K + 1), 1, 1, K + 1), Op.Slice(Values(step, K, N + 4), 1, 1, N + 1)),
        ["sums of four terms"] = step => (Values(step, M, 4), Values(step, 4, N)),
        ["a batch"] = step => (Values(step, 2, 67, 20), Values(step, 2, 20, 68)),
        ["a batch of columns"] = step => (Op.Transpose(Values(step, 2, 20, 68), 1, 2), Op.Transpose(Values(step, 1, 65, 20), 1, 2)),
    };

    [Theory]
    [MemberData(nameof(Forms))]
    public void A_form_gives_the_sums(bool isLarge, string form)
    {
        using var step = Step.Evaluation(Emulator.Device);
        var (a, b) = _forms[form](step);
        Check(a, b, null, false, terms => ProductPlan.InPieces(isLarge, terms, 1));
    }

    [Theory]
    [InlineData(true, false)]
    [InlineData(false, false)]
    [InlineData(true, true)]
    [InlineData(false, true)]
    public void Bias_and_the_sum_before_are_added_whether_sums_are_cut_or_not(bool isCut, bool isOdd)
    {
        using var step = Step.Evaluation(Emulator.Device);
        int n = isOdd ? 71 : 72;
        var (a, b) = (Values(step, 70, 200), Values(step, 200, n));
        Check(a, b, Values(step, n), true, terms => ProductPlan.InPieces(false, terms, isCut ? 3 : 1));
    }

    [Fact]
    public void Long_sums_of_small_results_are_cut_by_shape()
    {
        using var step = Step.Evaluation(Emulator.Device);
        var y = step.Zeros([64, 64]);
        var plan = ProductPlan.For(new MatMulPlan(step.Zeros([64, 1000]), step.Zeros([1000, 64]), y));
        Assert.Equal(new ProductPlan(IsLarge: false, 3, 384), plan);
    }

    private static void Check(Tensor a, Tensor b, Tensor? bias, bool accumulate, Func<int, ProductPlan> choose)
    {
        var step = Step.Of("product", a, b);
        var batch = Shape.Broadcast("product", a.Shape.Without(-1).Without(-1), b.Shape.Without(-1).Without(-1));
        var y = Values(step, [.. batch.ToArray(), a.Shape[^2], b.Shape[^1]]);
        double[] x = a.ToDoubles(), z = b.ToDoubles(), expected = y.ToDoubles(), added = bias?.ToDoubles() ?? new double[y.Shape[^1]];
        int m = y.Shape[^2], n = y.Shape[^1], k = a.Shape[^1];
        for (int i = 0; i < expected.Length; i++)
        {
            int column = i % n, row = i / n % m, item = i / n / m;
            int left = a.Shape.Rank == 2 || a.Shape[0] == 1 ? 0 : item, right = b.Shape.Rank == 2 || b.Shape[0] == 1 ? 0 : item;
            double sum = added[column] + (accumulate ? expected[i] : 0);
            for (int p = 0; p < k; p++)
                sum += x[(((left * m) + row) * k) + p] * z[(((right * k) + p) * n) + column];
            expected[i] = sum;
        }

        var plan = new MatMulPlan(a, b, y);
        MatMulGpu.Run(a, b, bias, y, accumulate, plan, choose(plan.Inner));
        double[] actual = y.ToDoubles();
        for (int i = 0; i < expected.Length; i++)
            Assert.True(Math.Abs(expected[i] - actual[i]) <= 1e-5 * Math.Sqrt(k), $"element {i} is {actual[i]}, not {expected[i]}");
    }

    private static Tensor Values(Step step, params int[] sizes)
    {
        var values = new float[sizes.Aggregate(1, (a, b) => a * b)];
        var random = new Random(values.Length);
        for (int i = 0; i < values.Length; i++)
            values[i] = (float)((2 * random.NextDouble()) - 1);
        return step.From(values, new Shape(sizes));
    }
}
