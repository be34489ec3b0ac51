using System.Runtime.Intrinsics;

namespace DtoKd.Engine.Cpu;

/// <summary>
/// Sums of a weight's gradient over parts of the images, each made by one thread, and added in order, in double: so the result
/// does not depend on the number of threads.
/// </summary>
internal sealed unsafe class ConvPartials(CpuDevice device, long count) : IDisposable
{
    // Elements of the target that a task sums.
    private const long Grain = 2048;

    private Storage? _sums;
    private int _runs;

    /// <summary>Makes room for a number of sums.</summary>
    public void Begin(int runs)
    {
        _runs = runs;
        _sums = device.Pool.Rent(runs * count * sizeof(float), "conv2d");
    }

    /// <summary>The sums of a run, as the weight lies.</summary>
    public float* Of(int run) => (float*)_sums!.Address + (run * count);

    /// <summary>target (+)= the sum over the runs.</summary>
    public void AddTo(float* target, bool accumulate) => device.Team.ForRange(count, Grain, (start, end) =>
    {
        long i = start;
        for (; i + Vector256<float>.Count <= end; i += Vector256<float>.Count)
        {
            var (lower, upper) = Vector256.Widen(accumulate ? Vector256.Load(target + i) : Vector256<float>.Zero);
            for (int run = 0; run < _runs; run++)
            {
                var (left, right) = Vector256.Widen(Vector256.Load(Of(run) + i));
                lower += left;
                upper += right;
            }

            Vector256.Narrow(lower, upper).Store(target + i);
        }

        for (; i < end; i++)
        {
            double sum = accumulate ? target[i] : 0;
            for (int run = 0; run < _runs; run++)
                sum += Of(run)[i];
            target[i] = (float)sum;
        }
    });

    public void Dispose() => _sums?.Release();
}
