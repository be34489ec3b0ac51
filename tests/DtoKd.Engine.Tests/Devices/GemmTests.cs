using DtoKd.Engine.Cpu;
using DtoKd.Tests;

namespace DtoKd.Engine.Tests.Devices;

public sealed unsafe partial class GemmTests
{
    // Products of up to a few hundred terms, each rounded once per step: the random walk of the roundings stays well below
    // this share of the sum of magnitudes, and a wrong or missing term stays well above it.
    private const double Tolerance = 2e-6;

    private const float Canary = 12345.5f;

    public static TheoryData<SimdLevel> Levels => [SimdLevel.Portable, SimdLevel.Avx2, SimdLevel.Avx512, SimdLevel.Zen4, SimdLevel.Zen5];

    [Theory]
    [MemberData(nameof(Levels))]
    public void Agrees_with_the_double_sum_around_tile_edges(SimdLevel simd)
    {
        int[] sizes = simd >= SimdLevel.Avx512 && Simd.Best < SimdLevel.Avx512
            ? [1, 2, 4, 5, 7, 8, 9, 12, 13, 14, 15, 17, 31, 32, 33]
            : [1, 2, 4, 5, 6, 7, 8, 9, 12, 13, 14, 15, 16, 17, 31, 32, 33, 63, 64, 65];
        int k = 0;
        foreach (int m in sizes)
        {
            foreach (int n in sizes)
                new Problem(m, n, sizes[k++ % sizes.Length], seed: k).CheckSerial(simd);
        }
    }

    [Theory]
    [InlineData(SimdLevel.Portable, 131, 197, 301)]
    [InlineData(SimdLevel.Portable, 1, 300, 777)]
    [InlineData(SimdLevel.Avx2, 197, 197, 64)]
    [InlineData(SimdLevel.Avx2, 311, 333, 529)]
    [InlineData(SimdLevel.Avx2, 12, 1100, 260)]
    [InlineData(SimdLevel.Avx2, 13, 1100, 260)]
    [InlineData(SimdLevel.Avx2, 300, 1, 300)]
    [InlineData(SimdLevel.Avx2, 7, 9, 5000)]
    [InlineData(SimdLevel.Avx512, 45, 67, 301)]
    [InlineData(SimdLevel.Avx512, 240, 40, 20)]
    [InlineData(SimdLevel.Avx512, 28, 70, 30)]
    [InlineData(SimdLevel.Avx512, 24, 200, 512)]
    [InlineData(SimdLevel.Avx512, 24, 40, 512)]
    [InlineData(SimdLevel.Zen4, 45, 131, 301)]
    [InlineData(SimdLevel.Zen4, 300, 97, 48)]
    [InlineData(SimdLevel.Zen5, 45, 131, 301)]
    [InlineData(SimdLevel.Zen5, 300, 97, 48)]
    public void Agrees_with_the_double_sum_over_several_blocks(SimdLevel simd, int m, int n, int k) =>
        new Problem(m, n, k, seed: m).CheckSerial(simd);

    [Theory]
    [MemberData(nameof(Levels))]
    public void Takes_all_four_transpose_forms_and_any_stride(SimdLevel simd)
    {
        // The last two are large enough to be paired.
        foreach (var (m, n, k) in new[] { (37, 53, 43), (14, 64, 16), (6, 35, 9), (70, 16, 24), (101, 113, 50), (26, 49, 97) })
        {
            foreach (var aLayout in Enum.GetValues<Layout>())
            {
                foreach (var bLayout in Enum.GetValues<Layout>())
                    new Problem(m, n, k, seed: 3, aLayout, bLayout).CheckSerial(simd);
            }
        }
    }

    [Theory]
    [MemberData(nameof(Levels))]
    public void Applies_accumulation_and_the_bias_once(SimdLevel simd)
    {
        // The third shape has two blocks of K: the bias and the old C belong to one.
        foreach (var (m, n, k) in new[] { (29, 70, 20), (14, 32, 8), (15, 33, 500), (6, 16, 500), (5, 3, 1), (29, 101, 500) })
        {
            for (int choice = 0; choice < 8; choice++)
            {
                var problem = new Problem(m, n, k, seed: choice)
                {
                    Accumulate = (choice & 1) != 0,
                    HasBias = (choice & 2) != 0,
                    HasFinish = (choice & 4) != 0,
                };
                problem.CheckSerial(simd);
            }
        }
    }

    [Theory]
    [MemberData(nameof(Levels))]
    public void An_empty_K_leaves_the_bias_and_the_old_C(SimdLevel simd)
    {
        new Problem(7, 19, 0, seed: 1).CheckSerial(simd);
        new Problem(7, 19, 0, seed: 1) { Accumulate = true, HasBias = true, HasFinish = true }.CheckSerial(simd);
    }

    [Fact]
    public void Empty_rows_or_columns_write_nothing()
    {
        using var device = new CpuDevice(2);
        foreach (var (m, n) in new[] { (0, 5), (5, 0), (0, 0) })
        {
            float c = Canary;
            Gemm.Run(device, m, n, 3, default, default, &c, 1);
            Gemm.RunSerial(device.Simd, m, n, 3, default, default, &c, 1);
            Assert.Equal(Canary, c);
        }
    }

    [Fact]
    public void Gives_the_bytes_of_zen4_on_zen5()
    {
        foreach (var (m, n, k) in new[] { (45, 131, 301), (300, 97, 48), (110, 130, 2100), (26, 49, 97), (4, 10, 6) })
        {
            foreach (var bLayout in Enum.GetValues<Layout>())
            {
                var problem = new Problem(m, n, k, seed: 9, Layout.Rows, bLayout);
                Assert.Equal(problem.Serial(SimdLevel.Zen4), problem.Serial(SimdLevel.Zen5));
            }
        }
    }

    [Theory]
    [InlineData(SimdLevel.Portable, 150, 170, 90)]
    [InlineData(SimdLevel.Avx2, 150, 170, 90)]
    [InlineData(SimdLevel.Avx2, 331, 265, 299)]
    [InlineData(SimdLevel.Avx2, 11, 1200, 2100)]
    [InlineData(SimdLevel.Avx2, 1200, 11, 300)]
    [InlineData(SimdLevel.Avx512, 150, 170, 90)]
    [InlineData(SimdLevel.Avx512, 46, 48, 400)]
    [InlineData(SimdLevel.Avx512, 45, 210, 400)]
    [InlineData(SimdLevel.Avx2, 45, 70, 6200)]
    [InlineData(SimdLevel.Avx512, 45, 70, 6200)]
    [InlineData(SimdLevel.Portable, 19, 33, 6200)]
    // A long sum of sixteen pieces, the last block of all but one of which is empty.
    [InlineData(SimdLevel.Avx512, 5, 9, 368_641)]
    [InlineData(SimdLevel.Zen4, 150, 170, 90)]
    [InlineData(SimdLevel.Zen4, 45, 210, 400)]
    [InlineData(SimdLevel.Zen4, 1200, 99, 300)]
    [InlineData(SimdLevel.Zen4, 97, 98, 6200)]
    [InlineData(SimdLevel.Zen5, 45, 210, 400)]
    [InlineData(SimdLevel.Zen5, 97, 98, 6200)]
    // K in two pieces, of several blocks and slabs.
    [InlineData(SimdLevel.Portable, 61, 70, 769)]
    [InlineData(SimdLevel.Avx2, 110, 130, 2100)]
    [InlineData(SimdLevel.Avx512, 110, 130, 2100)]
    [InlineData(SimdLevel.Avx512, 30, 200, 1535)]
    [InlineData(SimdLevel.Zen4, 110, 130, 2100)]
    [InlineData(SimdLevel.Zen4, 130, 97, 770)]
    public void Gives_the_same_bytes_for_any_number_of_threads_as_for_none(SimdLevel simd, int m, int n, int k)
    {
        foreach (var (aLayout, bLayout, hasBias) in new[]
                 {
                     (Layout.Rows, Layout.Rows, true), (Layout.Rows, Layout.Columns, true),
                     (Layout.Columns, Layout.Rows, true), (Layout.Columns, Layout.Rows, false),
                 })
        {
            var problem = new Problem(m, n, k, seed: 5, aLayout, bLayout) { Accumulate = true, HasBias = hasBias, HasFinish = hasBias };
            float[] serial = problem.Serial(simd);
            problem.Check(serial);
            foreach (int threads in new[] { 1, 2, 7 })
            {
                using var device = new CpuDevice(threads, simd);
                float[] shared = problem.Compute((a, b, c, cStride, epilogue) =>
                    Gemm.Run(device, m, n, k, a, b, c, cStride, epilogue));
                Assert.Equal(serial, shared);
            }
        }
    }

    [Theory]
    [MemberData(nameof(Levels))]
    public void Operands_may_lie_in_runs_along_K(SimdLevel simd)
    {
        // One block and several, of one run and of many; a last run that is not full; sums of one, two and sixteen pieces.
        foreach (var (m, n, k, run) in new[]
                 {
                     (37, 53, 43, 43), (15, 33, 60, 1), (14, 32, 300, 7), (29, 70, 500, 49), (101, 113, 385, 128), (110, 130, 784, 196),
                     (61, 70, 769, 100), (30, 200, 1535, 400), (45, 50, 6200, 49),
                 })
        {
            var problem = new Problem(m, n, k, seed: run, Layout.Rows, Layout.Columns)
            {
                Run = run, Accumulate = run % 2 == 0, Outside = float.NaN,
            };
            float[] serial = problem.Serial(simd);
            problem.Check(serial);
            foreach (int threads in new[] { 1, 2, 7 })
            {
                using var device = new CpuDevice(threads, simd);
                Assert.Equal(
                    serial, problem.Compute((a, b, c, cStride, epilogue) => Gemm.Run(device, m, n, k, a, b, c, cStride, epilogue)));
            }
        }
    }

    [Fact]
    public void An_element_is_the_same_whether_computed_alone_or_in_a_large_product()
    {
        var whole = new Problem(50, 60, 400, seed: 2);
        float[] all = whole.Serial(SimdLevel.Avx2);
        whole.Compute((a, b, c, cStride, _) =>
        {
            for (int i = 0; i < 50; i += 7)
            {
                for (int j = 0; j < 60; j += 7)
                {
                    float alone;
                    var row = a.Offset(i * a.RowStride);
                    var column = b.Offset(j * b.ColumnStride);
                    Gemm.RunSerial(SimdLevel.Avx2, 1, 1, 400, row, column, &alone, 1);
                    Assert.Equal(all[whole.IndexOfC(i, j)], alone);
                }
            }
        });
    }

    [Theory]
    [InlineData(40, 9, 17, 5)]
    [InlineData(40, 61, 70, 64)]
    [InlineData(3, 140, 150, 120)]
    public void A_batch_equals_its_products_one_by_one(int batch, int m, int n, int k)
    {
        var random = new Random(9);
        float[] a = Values(random, batch * m * k), b = Values(random, 2 * k * n), expected = new float[batch * m * n];
        long[] aOffsets = [.. Enumerable.Range(0, batch).Select(i => (long)i * m * k)];
        long[] bOffsets = [.. Enumerable.Range(0, batch).Select(i => (long)(i % 2) * k * n)];
        long[] cOffsets = [.. Enumerable.Range(0, batch).Select(i => (long)(batch - 1 - i) * m * n)];
        fixed (float* aData = a, bData = b, cData = expected)
        {
            for (int i = 0; i < batch; i++)
            {
                Gemm.RunSerial(Simd.Default, m, n, k, new MatrixView(aData + aOffsets[i], k),
                    new MatrixView(bData + bOffsets[i], n), cData + cOffsets[i], n);
            }
        }

        foreach (int threads in new[] { 1, 2, 7 })
        {
            using var device = new CpuDevice(threads);
            float[] actual = new float[expected.Length];
            fixed (float* aData = a, bData = b, cData = actual)
            {
                Gemm.RunBatch(device, m, n, k, new MatrixView(aData, k), aOffsets, new MatrixView(bData, n), bOffsets,
                    cData, cOffsets, n);
            }

            Assert.Equal(expected, actual);
        }
    }

    [Fact]
    public void A_batch_with_lists_of_different_length_is_refused()
    {
        using var device = new CpuDevice(1);
        var error = Assert.Throws<ArgumentException>(() =>
            Gemm.RunBatch(device, 1, 1, 1, default, [0], default, [0, 0], null, [0, 0], 1));
        Assert.Contains("offsets of A (1) and B (2) as of C (2)", error.Message);
    }

    [Theory]
    [MemberData(nameof(Levels))]
    public void NaN_and_infinity_reach_exactly_their_row_and_column(SimdLevel simd)
    {
        foreach (var (m, n, k) in new[] { (15, 35, 18), (30, 97, 50) })
        {
            float[] a = new float[m * k], b = new float[k * n], c = new float[m * n];
            a[(3 * k) + 17] = float.NaN;
            b[(5 * n) + 33] = float.PositiveInfinity;
            fixed (float* aData = a, bData = b, cData = c)
                Gemm.RunSerial(simd, m, n, k, new MatrixView(aData, k), new MatrixView(bData, n), cData, n);
            // 0 * NaN and 0 * infinity are NaN; everything else is a sum of zeros.
            for (int i = 0; i < m; i++)
            {
                for (int j = 0; j < n; j++)
                    Assert.Equal(i == 3 || j == 33 ? float.NaN : 0f, c[(i * n) + j]);
            }
        }
    }

    [Theory]
    [MemberData(nameof(Levels))]
    public void Reads_nothing_outside_the_operands(SimdLevel simd)
    {
        // Every element outside the views is NaN, as is C before it is written: one stray read would show.
        foreach (var (m, n, k) in new[] { (15, 33, 9), (6, 16, 8), (28, 32, 3), (1, 1, 1), (13, 47, 21), (99, 97, 49), (27, 109, 50) })
        {
            foreach (var aLayout in Enum.GetValues<Layout>())
            {
                foreach (var bLayout in Enum.GetValues<Layout>())
                    new Problem(m, n, k, seed: 8, aLayout, bLayout) { Outside = float.NaN }.CheckSerial(simd);
            }
        }
    }

    [Fact]
    public void Serial_products_of_many_threads_do_not_disturb_each_other()
    {
        var problems = Enumerable.Range(0, 24).Select(i => new Problem(20 + i, 90 - i, 40 + 13 * i, seed: i)).ToArray();
        float[][] expected = [.. problems.Select(p => p.Serial(SimdLevel.Avx2))];
        float[][] actual = new float[problems.Length][];
        var threads = Enumerable.Range(0, 6).Select(t => new Thread(() =>
        {
            for (int i = t; i < problems.Length; i += 6)
                actual[i] = problems[i].Serial(SimdLevel.Avx2);
        })).ToArray();
        foreach (var thread in threads)
            thread.Start();
        foreach (var thread in threads)
            thread.Join();
        for (int i = 0; i < problems.Length; i++)
            Assert.Equal(expected[i], actual[i]);
    }

    [Fact]
    public void A_warm_serial_product_allocates_nothing()
    {
        var problem = new Problem(33, 44, 55, seed: 1);
        long allocated = -1;
        problem.Compute((a, b, c, cStride, epilogue) =>
        {
            Gemm.RunSerial(SimdLevel.Avx2, 33, 44, 55, a, b, c, cStride, epilogue);
            allocated = Allocation.Of(() => Gemm.RunSerial(SimdLevel.Avx2, 33, 44, 55, a, b, c, cStride, epilogue));
        });
        Assert.Equal(0, allocated);
    }

    private static float[] Values(Random random, int count)
    {
        float[] values = new float[count];
        foreach (ref float value in values.AsSpan())
            value = (float)(random.NextDouble() * 2 - 1);
        return values;
    }

    public enum Layout
    {
        Rows,
        Columns,
        Strided,
    }

    private delegate void Call(MatrixView a, MatrixView b, float* c, long cStride, GemmEpilogue epilogue);
}
