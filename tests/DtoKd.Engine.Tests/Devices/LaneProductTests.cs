using System.Runtime.InteropServices;
using DtoKd.Engine.Cpu;

namespace DtoKd.Engine.Tests.Devices;

public sealed unsafe class LaneProductTests
{
    private const float Canary = 12345.5f;

    [Fact]
    public void Agrees_with_the_double_sum_in_every_lane_for_every_size_and_writes_no_other_element()
    {
        // Sides of 1, 2, 3, 6, 7 and 11 cannot be cut into fours and fives.
        for (int m = 1; m <= 17; m++)
        {
            for (int n = 1; n <= 17; n++)
            {
                Check<Lane512>(m, n);
                Check<Lane256>(m, n);
                Check<LaneVector>(m, n);
            }
        }
    }

    [Fact]
    public void Tiles_of_rows_follow_each_other()
    {
        for (int m = 0; m <= 60; m++)
        {
            int at = 0;
            while (at < m)
                at += LaneProduct.RowsOfTile<Lane512>(m, at);
            Assert.Equal(m, at);
        }

        Assert.Equal(5, LaneProduct.RowsOfTile<Lane512>(49, 40));
        Assert.Equal(4, LaneProduct.RowsOfTile<Lane512>(49, 45));
    }

    [Fact]
    public void Turning_rows_in_and_out_gives_them_back_times_the_factors()
    {
        foreach (int count in new[] { 1, 3, 4, 7, 8, 13, 16, 40 })
        {
            CheckTurns<Lane512>(count);
            CheckTurns<Lane256>(count);
            CheckTurns<LaneVector>(count);
        }
    }

    [Fact]
    public void Rows_to_fetch_come_in_their_order_and_end()
    {
        const int Length = 10;
        float** rows = stackalloc float*[Length];
        long* memory = stackalloc long[2 * 3];
        var fetch = new LaneFetch(memory, Length);
        Assert.True(fetch.Take(4, out _) == null);
        // 20 floats are on two lines.
        fetch.Add(rows, 5, 20);
        fetch.Add(rows, 100, 16);
        Assert.True(fetch.Take(11, out _) == null, "more than a list has");
        foreach (long expected in new long[] { 5, 21, 100 })
        {
            foreach (int start in new[] { 0, 4, 6 })
            {
                Assert.True(fetch.Take(4, out long offset) == rows + start);
                Assert.Equal(expected, offset);
            }
        }

        Assert.True(fetch.Take(4, out _) == null);
    }

    private static void Check<V>(int m, int n)
        where V : unmanaged, IFloatLane<V>
    {
        const int K = 3;
        var random = new Random((31 * m) + n);
        float[] a = Numbers(random, m * K * V.Width), b = Numbers(random, K * n * V.Width);
        float* c = (float*)NativeMemory.AlignedAlloc((nuint)((m + 1) * (n + 1) * V.Width * sizeof(float)), 64);
        float** rows = stackalloc float*[8];
        long* memory = stackalloc long[2];
        try
        {
            foreach (bool transposed in new[] { false, true })
            {
                new Span<float>(c, (m + 1) * (n + 1) * V.Width).Fill(Canary);
                fixed (float* aData = a, bData = b)
                {
                    var left = transposed ? new MatrixView(aData, m * V.Width, V.Width).Transposed : new MatrixView(aData, K * V.Width, V.Width);
                    var right = transposed ? new MatrixView(bData, K * V.Width, V.Width).Transposed : new MatrixView(bData, n * V.Width, V.Width);
                    new Span<nint>(rows, 8).Fill((nint)aData);
                    var fetch = new LaneFetch(memory, 8);
                    fetch.Add(rows, 0, 1);
                    LaneProduct.Run<V>(m, n, K, left, right, new MatrixView(c, (n + 1) * V.Width, V.Width), ref fetch);
                }

                for (int i = 0; i <= m; i++)
                {
                    for (int j = 0; j <= n; j++)
                    {
                        for (int lane = 0; lane < V.Width; lane++)
                        {
                            double expected = i < m && j < n ? 0 : Canary;
                            for (int k = 0; i < m && j < n && k < K; k++)
                            {
                                int left = transposed ? (k * m) + i : (i * K) + k, right = transposed ? (j * K) + k : (k * n) + j;
                                expected += (double)a[(left * V.Width) + lane] * b[(right * V.Width) + lane];
                            }

                            float got = c[(((i * (n + 1)) + j) * V.Width) + lane];
                            Assert.True(Math.Abs(got - expected) < 1e-6, $"{m} x {n}, element {i}, {j} of lane {lane}: {got} is not {expected}");
                        }
                    }
                }
            }
        }
        finally
        {
            NativeMemory.AlignedFree(c);
        }
    }

    private static void CheckTurns<V>(int count)
        where V : unmanaged, IFloatLane<V>
    {
        const int Offset = 2;
        int row = Offset + count + 1, lanes = V.Width - 1;
        var random = new Random(count);
        float[] from = Numbers(random, V.Width * row), to = new float[V.Width * row];
        Array.Fill(to, 1);
        float* turned = stackalloc float[count * V.Width];
        float** rows = stackalloc float*[V.Width];
        fixed (float* source = from, target = to)
        {
            for (int lane = 0; lane < V.Width; lane++)
                rows[lane] = source + (lane * row);
            LaneTurn.In<V>(rows, Offset, count, 2, turned);
            for (int lane = 0; lane < V.Width; lane++)
                rows[lane] = target + (lane * row);
            LaneTurn.Out<V>(turned, count, 3, rows, Offset, lanes, accumulate: false);
            LaneTurn.Out<V>(turned, count, 1, rows, Offset, lanes, accumulate: true);
        }

        for (int lane = 0; lane < V.Width; lane++)
        {
            for (int i = 0; i < row; i++)
            {
                bool isWritten = lane < lanes && i >= Offset && i < Offset + count;
                Assert.Equal(isWritten ? (6 * from[(lane * row) + i]) + (2 * from[(lane * row) + i]) : 1, to[(lane * row) + i], 1e-6f);
            }
        }
    }

    private static float[] Numbers(Random random, int count) =>
        [.. Enumerable.Range(0, count).Select(_ => (float)random.NextDouble() - 0.5f)];
}
