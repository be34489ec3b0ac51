using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace DtoKd.Engine.Cpu;

/// <summary>
/// Mean and variance of each channel of a convolution's results, taken while a block of them is near the core: the sum and the squared
/// deviations of each block, which are put together in the order of the blocks (Chan, Golub, LeVeque 1979). What is a block follows from
/// shape, way to compute and vector width, so the bytes do not depend on threads.
/// </summary>
internal sealed unsafe class ConvMoments(CpuDevice device, Tensor mean, Tensor variance) : IDisposable
{
    // Channels that a task puts together.
    private const int Grain = 64;

    // In front of a block's numbers: how many results it has of each channel, in a line of its own.
    private const int Header = Pool.Alignment / sizeof(float);

    private Storage? _storage;
    private int _channels;
    private int _blocks;

    /// <summary>Makes room for blocks.</summary>
    public void Begin(int channels, int blocks)
    {
        (_channels, _blocks) = (channels, blocks);
        _storage = device.Pool.Rent(((blocks * Stride) + Vector256<float>.Count) * sizeof(float), "conv2d");
    }

    /// <summary>Takes some channels of a block.</summary>
    /// <param name="block">The block.</param>
    /// <param name="channel">The first channel.</param>
    /// <param name="channels">How many.</param>
    /// <param name="values">The results: of each channel, some runs of neighbours.</param>
    /// <param name="stride">From one channel to the next.</param>
    /// <param name="count">The length of a run; 0 of a block without results.</param>
    /// <param name="runs">How many runs.</param>
    /// <param name="runStride">From one run to the next.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void Add<V>(int block, int channel, int channels, float* values, long stride, long count, int runs = 1, long runStride = 0)
        where V : unmanaged, IFloatLane<V>
    {
        float* to = Of(block);
        to[0] = runs * count;
        float* sums = to + Header + channel, squares = sums + _channels;
        if (count == 0)
        {
            new Span<float>(sums, channels).Clear();
            new Span<float>(squares, channels).Clear();
            return;
        }

        for (int c = 0; c < channels; c++, values += stride)
        {
            // Less one of them, which their mean is likely near: the difference of squares, never less than their sum divided by the
            // count, then loses few digits.
            float shift = values[0];
            V s = V.Broadcast(shift), sum = V.Of(0), second = sum, square = sum, secondSquare = sum;
            for (int run = 0; run < runs; run++)
            {
                float* x = values + (run * runStride);
                long i = 0;
                for (; i + (2 * V.Width) <= count; i += 2 * V.Width)
                {
                    V a = V.Load(x + i) - s, b = V.Load(x + i + V.Width) - s;
                    sum += a;
                    second += b;
                    square = V.MultiplyAdd(a, a, square);
                    secondSquare = V.MultiplyAdd(b, b, secondSquare);
                }

                for (; i < count; i += V.Width)
                {
                    V a = LaneRow.Load<V>(x + i, count - i, shift) - s;
                    sum += a;
                    square = V.MultiplyAdd(a, a, square);
                }
            }

            float total = V.Sum(sum + second);
            sums[c] = total + (shift * to[0]);
            squares[c] = V.Sum(square + secondSquare) - (total * total / to[0]);
        }
    }

    /// <summary>Puts the blocks together.</summary>
    public void Finish()
    {
        float* means = mean.Pointer<float>(), variances = variance.Pointer<float>();
        device.Team.ForRange(_channels, Grain, (start, end) =>
        {
            double pixels = 0;
            for (int block = 0; block < _blocks; block++)
                pixels += Of(block)[0];
            for (long c = start; c < end; c += Vector256<float>.Count)
            {
                // Behind the last channel these are other numbers of the room, and nobody's results.
                var (low, high) = Vector256.Widen(Vector256<float>.Zero);
                for (int block = 0; block < _blocks; block++)
                {
                    var (lowSum, highSum) = Vector256.Widen(Vector256.Load(Of(block) + Header + c));
                    (low, high) = (low + lowSum, high + highSum);
                }

                Vector256<double> lowMean = low / pixels, highMean = high / pixels;
                (low, high) = Vector256.Widen(Vector256<float>.Zero);
                for (int block = 0; block < _blocks; block++)
                {
                    double count = Of(block)[0], share = count > 0 ? 1 / count : 0;
                    var (lowSum, highSum) = Vector256.Widen(Vector256.Load(Of(block) + Header + c));
                    var (lowSquares, highSquares) = Vector256.Widen(Vector256.Load(Of(block) + Header + _channels + c));
                    Vector256<double> lowOff = (lowSum * share) - lowMean, highOff = (highSum * share) - highMean;
                    low += lowSquares + (lowOff * lowOff * count);
                    high += highSquares + (highOff * highOff * count);
                }

                Vector256<float> m = Vector256.Narrow(lowMean, highMean), v = Vector256.Narrow(low / pixels, high / pixels);
                for (int i = 0; i < Math.Min(Vector256<float>.Count, end - c); i++)
                    (means[c + i], variances[c + i]) = (m[i], v[i]);
            }
        });
    }

    public void Dispose() => _storage?.Release();

    private long Stride => Header + (2L * _channels);

    private float* Of(int block) => (float*)_storage!.Address + (block * Stride);
}
