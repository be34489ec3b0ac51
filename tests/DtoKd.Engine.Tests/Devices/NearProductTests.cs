using System.Runtime.InteropServices;
using DtoKd.Engine.Cpu;

namespace DtoKd.Engine.Tests.Devices;

public sealed unsafe class NearProductTests
{
    [Fact]
    public void Agrees_with_the_double_sum_for_every_number_of_rows_and_writes_no_other()
    {
        // Up to 41 rows some cannot be cut into sevens and eights; beyond, every number can.
        for (int m = 0; m <= 66; m++)
        {
            Check<Lane256>(m, n: 3 * 8);
            Check<Lane512>(m, n: 16);
            Check<Lane512>(m, n: 5 * 16);
            Check<LaneVector>(m, n: 32);
        }
    }

    private static void Check<V>(int m, int n)
        where V : unmanaged, IFloatLane<V>
    {
        const int K = 9;
        const float Canary = 12345.5f;
        var random = new Random(m);
        float[] a = [.. Enumerable.Range(0, Math.Max(1, m) * K).Select(_ => (float)random.NextDouble() - 0.5f)];
        float[] b = [.. Enumerable.Range(0, K * n).Select(_ => (float)random.NextDouble() - 0.5f)];
        float* memory = (float*)NativeMemory.AlignedAlloc((nuint)((m + 1) * n * sizeof(float)), 64);
        try
        {
            foreach (bool transposed in new[] { false, true })
            {
                new Span<float>(memory, (m + 1) * n).Fill(Canary);
                fixed (float* aData = a, bData = b)
                {
                    var view = transposed ? new MatrixView(aData, m).Transposed : new MatrixView(aData, K);
                    NearProduct.Run<V>(m, n, K, view, bData, n, memory, n);
                    NearProduct.Run<V>(m, n, K, view, bData, n, memory, n, accumulate: true);
                }

                for (int i = 0; i < m; i++)
                {
                    for (int j = 0; j < n; j++)
                    {
                        double sum = 0;
                        for (int k = 0; k < K; k++)
                            sum += (double)(transposed ? a[(k * m) + i] : a[(i * K) + k]) * b[(k * n) + j];
                        Assert.True(Math.Abs(memory[(i * n) + j] - (2 * sum)) < 1e-5, $"{m} rows, element {i}, {j}: {memory[(i * n) + j]} is not {2 * sum}");
                    }
                }

                for (int j = 0; j < n; j++)
                    Assert.Equal(Canary, memory[(m * n) + j]);
            }
        }
        finally
        {
            NativeMemory.AlignedFree(memory);
        }
    }
}
