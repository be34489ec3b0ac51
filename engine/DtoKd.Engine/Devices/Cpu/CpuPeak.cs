using System.Diagnostics;
using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace DtoKd.Engine.Cpu;

/// <summary>The processor's part of <see cref="MachinePeak"/>.</summary>
internal static class CpuPeak
{
    // Enough independent sums to fill the pipeline of two multiply-add units of four or five cycles.
    private const int Chains = 10;
    private const int Turns = 2_000_000;

    /// <summary>Measures fused multiply-adds on registers alone, on all threads of a device.</summary>
    public static double FlopsPerSecond(CpuDevice device)
    {
        int lanes = device.Vectors switch
        {
            LaneKind.Lane512 => Vector512<float>.Count,
            LaneKind.Lane256 => Vector256<float>.Count,
            _ => Vector<float>.Count,
        };
        var sums = new float[device.Team.Threads];
        double seconds = MachinePeak.Best(device, () => device.Team.For(sums.Length, thread => sums[thread] = device.Vectors switch
        {
            LaneKind.Lane512 => Loop512(1e-9f),
            LaneKind.Lane256 => Loop256(1e-9f),
            _ => LoopPortable(1e-9f),
        }));
        return 2.0 * lanes * Chains * Turns * sums.Length / seconds;
    }

    /// <summary>Copies floats of one contiguous tensor to another on all threads.</summary>
    public static void Copy(CpuDevice device, Tensor from, Tensor to)
    {
        const long Grain = 1 << 18;
        device.Team.ForRange(from.Count, Grain, (start, end) =>
            from.Span<float>()[(int)start..(int)end].CopyTo(to.Span<float>()[(int)start..(int)end]));
    }

    /// <summary>Two threads hand a number to and fro.</summary>
    public static double ExchangeSeconds()
    {
        const int Runs = 25, Trips = 1000;
        // In the middle of lines that hold nothing else.
        var line = new int[128];
        var partner = new Thread(() =>
        {
            for (int turn = 1; turn < 2 * Runs * Trips; turn += 2)
                Answer(ref line[64], turn);
        });
        partner.Start();
        var seconds = new double[Runs];
        for (int run = 0; run < Runs; run++)
        {
            long start = Stopwatch.GetTimestamp();
            for (int trip = 0; trip < Trips; trip++)
                Answer(ref line[64], 2 * ((run * Trips) + trip));
            seconds[run] = Stopwatch.GetElapsedTime(start).TotalSeconds / (2 * Trips);
        }

        partner.Join();
        Array.Sort(seconds);
        return seconds[Runs / 2];
    }

    // Without a pause, which would take as long as what is measured; after some tens of microseconds the other may need this processor.
    private static void Answer(ref int line, int turn)
    {
        for (int spins = 1; Volatile.Read(ref line) != turn; spins++)
        {
            if (spins % 100_000 == 0)
                Thread.Yield();
        }

        Volatile.Write(ref line, turn + 1);
    }

    // Scalars with names stay in registers; an array would not. No tiering: the loop runs once per thread.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static float Loop512(float x)
    {
        Vector512<float> f = Vector512.Create(x), a = f, b = f, c = f, d = f, e = f, g = f, h = f, i = f, j = f, k = f;
        for (int turn = 0; turn < Turns; turn++)
        {
            a = Vector512.FusedMultiplyAdd(a, f, f);
            b = Vector512.FusedMultiplyAdd(b, f, f);
            c = Vector512.FusedMultiplyAdd(c, f, f);
            d = Vector512.FusedMultiplyAdd(d, f, f);
            e = Vector512.FusedMultiplyAdd(e, f, f);
            g = Vector512.FusedMultiplyAdd(g, f, f);
            h = Vector512.FusedMultiplyAdd(h, f, f);
            i = Vector512.FusedMultiplyAdd(i, f, f);
            j = Vector512.FusedMultiplyAdd(j, f, f);
            k = Vector512.FusedMultiplyAdd(k, f, f);
        }

        return Vector512.Sum(a + b + c + d + e + g + h + i + j + k);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static float Loop256(float x)
    {
        Vector256<float> f = Vector256.Create(x), a = f, b = f, c = f, d = f, e = f, g = f, h = f, i = f, j = f, k = f;
        for (int turn = 0; turn < Turns; turn++)
        {
            a = Fma.MultiplyAdd(a, f, f);
            b = Fma.MultiplyAdd(b, f, f);
            c = Fma.MultiplyAdd(c, f, f);
            d = Fma.MultiplyAdd(d, f, f);
            e = Fma.MultiplyAdd(e, f, f);
            g = Fma.MultiplyAdd(g, f, f);
            h = Fma.MultiplyAdd(h, f, f);
            i = Fma.MultiplyAdd(i, f, f);
            j = Fma.MultiplyAdd(j, f, f);
            k = Fma.MultiplyAdd(k, f, f);
        }

        return Vector256.Sum(a + b + c + d + e + g + h + i + j + k);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static float LoopPortable(float x)
    {
        Vector<float> f = new(x), a = f, b = f, c = f, d = f, e = f, g = f, h = f, i = f, j = f, k = f;
        for (int turn = 0; turn < Turns; turn++)
        {
            a = Vector.FusedMultiplyAdd(a, f, f);
            b = Vector.FusedMultiplyAdd(b, f, f);
            c = Vector.FusedMultiplyAdd(c, f, f);
            d = Vector.FusedMultiplyAdd(d, f, f);
            e = Vector.FusedMultiplyAdd(e, f, f);
            g = Vector.FusedMultiplyAdd(g, f, f);
            h = Vector.FusedMultiplyAdd(h, f, f);
            i = Vector.FusedMultiplyAdd(i, f, f);
            j = Vector.FusedMultiplyAdd(j, f, f);
            k = Vector.FusedMultiplyAdd(k, f, f);
        }

        return Vector.Sum(a + b + c + d + e + g + h + i + j + k);
    }
}
