using DtoKd.Engine;
using DtoKd.Engine.Gpu;

namespace DtoKd.Gpu.Tests.Ops;

/// <summary>Every kernel of matrix products on every form of operands, whatever kernel a product of that shape would get.</summary>
public class ProductTests
{
    private const int M = 132, N = 68, K = 35;

    public static TheoryData<string, string> Forms => new(
        from variant in ProductVariant.All
        from form in _forms.Keys
        // The emulator takes seconds for the instructions of a large tile; what forms differ in is before them.
        where variant.Reads == OperandLayout.Across ? form.StartsWith("columns by rows", StringComparison.Ordinal)
            : variant.Reads is null || variant.Rows == 64 || form is "rows by columns" or "odd sizes"
        select (variant.Name, form));

    public static TheoryData<string> Variants => [.. ProductVariant.All.Select(variant => variant.Name)];

    // Vectors of four need sizes and strides that are multiples of four: some forms have them, some do not.
    private static readonly Dictionary<string, Func<Step, (Tensor A, Tensor B)>> _forms = new()
    {
        ["rows by rows"] = step => (Values(step, M, K), Values(step, K, N)),
        ["rows by columns"] = step => (Values(step, M, K), Op.Transpose(Values(step, N, K), 0, 1)),
        ["columns by rows"] = step => (Op.Transpose(Values(step, K, M), 0, 1), Values(step, K, N)),
        ["columns by rows of a batch"] = step => (Op.Transpose(Values(step, 2, 39, 68), 1, 2), Values(step, 2, 39, 72)),
        ["columns by rows of no terms"] = step => (Op.Transpose(Values(step, 0, 68), 0, 1), Values(step, 0, 72)),
        ["columns by columns"] = step => (Op.Transpose(Values(step, K, M), 0, 1), Op.Transpose(Values(step, N, K), 0, 1)),
        ["odd sizes"] = step => (Op.Transpose(Values(step, K, M + 1), 0, 1), Values(step, K, N + 3)),
        ["off by one"] = step => (Op.Slice(Values(step, M, K + 1), 1, 1, K + 1), Op.Slice(Values(step, K, N + 4), 1, 1, N + 1)),
        ["sums of four terms"] = step => (Values(step, M, 4), Values(step, 4, N)),
        ["a batch"] = step => (Values(step, 2, 67, 20), Values(step, 2, 20, 68)),
        ["a batch of columns"] = step => (Op.Transpose(Values(step, 2, 20, 68), 1, 2), Op.Transpose(Values(step, 1, 65, 20), 1, 2)),
    };

    [Theory]
    [MemberData(nameof(Forms))]
    public void A_kernel_gives_the_sums_of_a_form(string variant, string form)
    {
        using var step = Step.Evaluation(TestDevice.Gpu);
        var (a, b) = _forms[form](step);
        Check(a, b, null, false, variant, pieces: 1);
    }

    [Theory]
    [MemberData(nameof(Variants))]
    public void Bias_and_the_sum_before_are_added_whether_sums_are_cut_or_not(string variant)
    {
        using var step = Step.Evaluation(TestDevice.Gpu);
        bool isAcross = Named(variant).Reads == OperandLayout.Across;
        foreach (var (n, pieces) in new[] { (isAcross ? 20 : 15, 3), (16, 1) })
            Check(Op.Transpose(Values(step, 200, 12), 0, 1), Values(step, 200, n), Values(step, n), true, variant, pieces);
    }

    // Copies of nothing have an address too, which a card wants to be a vector's.
    [Theory]
    [InlineData("highest 64x64")]
    [InlineData("high across 64x64")]
    [InlineData("medium 64x64")]
    public void A_sum_of_no_terms_may_begin_at_any_place(string variant)
    {
        using var step = Step.Evaluation(TestDevice.Gpu);
        Tensor a = Op.Transpose(Values(step, 0, 4), 0, 1), b = Values(step, 0, 8);
        var y = Op.Reshape(Op.Slice(Values(step, 35), 0, 3), [4, 8]);
        MatMulGpu.Run(a, b, Values(step, 8), y, false, new MatMulPlan(a, b, y), ProductPlan.InPieces(Named(variant), 0, 1));
        Assert.Equal(Enumerable.Repeat(Values(step, 8).ToArray<float>(), 4).SelectMany(row => row), y.ToArray<float>());
    }

    [Fact]
    public void Long_sums_of_small_results_are_cut_and_tiles_that_would_stay_empty_are_small_ones()
    {
        // A gradient of weights: 4.5 x 1.5 tiles of 128 x 128.
        var shape = new ProductShape(576, 192, 50_432, 1, OperandLayout.Across, OperandLayout.Across);
        var weights = ProductPlan.For(shape, TestDevice.Gpu);
        Assert.Equal("highest 128x128", weights.Variant.Name);
        Assert.InRange(weights.Variant.TilesOf(shape) * weights.Pieces, 132, 1056);
        Assert.Equal(0, weights.PerPiece % 64);
        Assert.InRange(50_432, ((weights.Pieces - 1) * weights.PerPiece) + 1, weights.Pieces * weights.PerPiece);
        Assert.Equal(new ProductPlan(Named("highest 128x128"), 1, 8192), ProductPlan.For(Square(8192), TestDevice.Gpu));
        Assert.Equal("highest 64x64", ProductPlan.For(Square(64), TestDevice.Gpu).Variant.Name);
    }

    [Fact]
    public void The_device_says_how_numbers_may_be_rounded_and_the_plan_packs_only_where_that_pays()
    {
        using var device = GpuDevice.Emulated();
        foreach (var precision in Enum.GetValues<MatmulPrecision>())
        {
            device.MatmulPrecision = precision;
            Assert.Equal(precision, ProductPlan.For(Square(8192), device).Variant.Precision);
        }

        // Reading the numbers takes longer than multiplying them: TF32 needs no copies of them.
        Assert.Equal(
            "high 128x256",
            ProductPlan.For(new(50_432, 192, 768, 1, OperandLayout.Along, OperandLayout.Along), device).Variant.Name);
        Assert.StartsWith(
            "high across",
            ProductPlan.For(new(768, 192, 50_432, 1, OperandLayout.Across, OperandLayout.Across), device).Variant.Name,
            StringComparison.Ordinal);
    }

    [Fact]
    public void Pieces_are_no_more_than_an_int_counts_their_sums()
    {
        const int Side = 16_384;
        long[] sums = [.. ProductPlan.Candidates(Square(Side), MatmulPrecision.Highest, TestDevice.Gpu)
            .Select(plan => (long)Side * Side * plan.Pieces)];
        Assert.Equal(7L * Side * Side, sums.Max());
    }

    private static ProductShape Square(int n) => new(n, n, n, 1, OperandLayout.Along, OperandLayout.Across);

    private static ProductVariant Named(string name) => ProductVariant.All.Single(variant => variant.Name == name);

    private static void Check(Tensor a, Tensor b, Tensor? bias, bool accumulate, string name, int pieces)
    {
        var step = Step.Of("product", a, b);
        var variant = Named(name);
        var batch = Shape.Broadcast("product", a.Shape.Without(-1).Without(-1), b.Shape.Without(-1).Without(-1));
        var y = Values(step, [.. batch.ToArray(), a.Shape[^2], b.Shape[^1]]);
        double[] x = a.ToDoubles(), z = b.ToDoubles(), expected = y.ToDoubles(), added = bias?.ToDoubles() ?? new double[y.Shape[^1]];
        foreach (double[] factors in new[] { x, z })
        {
            for (int i = 0; i < factors.Length; i++)
                factors[i] = Rounded((float)factors[i], variant.Precision);
        }

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

        var shape = new MatMulPlan(a, b, y);
        Assert.True(variant.Takes(ProductOperands.ShapeOf(a, b, shape)));
        MatMulGpu.Run(a, b, bias, y, accumulate, shape, ProductPlan.InPieces(variant, shape.Inner, pieces));
        double[] actual = y.ToDoubles();
        for (int i = 0; i < expected.Length; i++)
            Assert.True(Math.Abs(expected[i] - actual[i]) <= 1e-5 * Math.Sqrt(k), $"element {i} is {actual[i]}, not {expected[i]}");
    }

    /// <summary>The nearest number with the bits of the precision: ties away from zero in TF32, to even in bf16.</summary>
    private static double Rounded(float x, MatmulPrecision precision)
    {
        uint bits = BitConverter.SingleToUInt32Bits(x);
        return precision switch
        {
            MatmulPrecision.High => BitConverter.UInt32BitsToSingle((bits + 0x1000) & 0xFFFFE000),
            MatmulPrecision.Medium => BitConverter.UInt32BitsToSingle((bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000),
            _ => x,
        };
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
