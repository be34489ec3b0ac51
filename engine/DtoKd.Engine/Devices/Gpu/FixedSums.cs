using ILGPU;

namespace DtoKd.Engine.Gpu;

/// <summary>
/// Sums to which threads add in any order, with the same bits every time: 64-bit integers, as sums of integers do not depend on
/// their order. The unit is a power of two that follows from the largest term there can be, so that no sum overflows: terms
/// below 2^-(62 - b) of it are lost, with 2^b the number of terms of a sum. That is 2^-42 for a million terms, where floats lose
/// what is below 2^-24 of the sum so far.
/// </summary>
/// <remarks>
/// A term is a product of numbers below the largest of some tensors, times a weight of at most 1. The unit is no finer than
/// 2^-126. A factor that is infinite or no number makes all sums so.
/// </remarks>
internal sealed class FixedSums
{
    private readonly GpuDevice _device;
    private readonly Storage _sums;
    private readonly Storage _largest;
    private readonly FixedAdder _adder;

    /// <summary>Sums that are zero.</summary>
    /// <param name="device">The device.</param>
    /// <param name="count">How many sums.</param>
    /// <param name="terms">The most terms of one.</param>
    /// <param name="first">A factor of all terms.</param>
    /// <param name="second">Another, or null.</param>
    public FixedSums(GpuDevice device, long count, long terms, Tensor first, Tensor? second = null)
    {
        _device = device;
        _sums = device.Pool.Rent(count * sizeof(long), "fixed sums");
        _largest = device.Pool.Rent(2 * sizeof(int), "fixed sums");
        device.Clear(_sums, 0, _sums.Bytes);
        device.Clear(_largest, 0, _largest.Bytes);
        _adder = new()
        {
            Sums = device.View<long>(_sums, 0, count),
            Largest = device.View<int>(_largest, 0, 2),
            Factors = second is null ? 1 : 2,
            TermBits = terms <= 1 ? 0 : System.Numerics.BitOperations.Log2((ulong)(terms - 1)) + 1,
        };
        FindLargest(first, 0);
        if (second is not null)
            FindLargest(second, 1);
    }

    /// <summary>What a kernel adds with.</summary>
    public FixedAdder Adder => _adder;

    /// <summary>target += sums; lets go of them.</summary>
    public void AddTo(Tensor target)
    {
        GridStride.Launch<FixedSumsToFloats, FixedSumsToFloats.Args>(_device, target.Count, new()
        {
            Adder = _adder,
            Target = GpuDevice.View<float>(target),
            Count = checked((int)target.Count),
        });
        _sums.Release();
        _largest.Release();
    }

    private void FindLargest(Tensor x, int factor) =>
        GridStride.Launch<FixedSumsLargest, FixedSumsLargest.Args>(_device, x.Count, new()
        {
            X = GpuDevice.View<float>(x),
            Largest = _adder.Largest,
            Factor = factor,
            Count = checked((int)x.Count),
        });
}

/// <summary>Adds terms to <see cref="FixedSums"/>.</summary>
internal struct FixedAdder
{
    // A sum stays below 2^62, half of what there is.
    private const int SumBits = 62;

    public ArrayView<long> Sums;

    /// <summary>The bits of the largest magnitude of each factor.</summary>
    public ArrayView<int> Largest;

    public int Factors, TermBits;

    /// <summary>What terms are multiplied by, and the sums with its negative: an exponent of two.</summary>
    public readonly int Exponent()
    {
        int exponent = SumBits - TermBits - Above(Largest[0]);
        if (Factors > 1)
            exponent -= Above(Largest[1]);
        return IntrinsicMath.Clamp(exponent, -126, 126);
    }

    /// <summary>Whether all factors are finite.</summary>
    public readonly bool IsFinite() => Largest[0] < 0x7F80_0000 && (Factors < 2 || Largest[1] < 0x7F80_0000);

    /// <summary>2 to a power from -126 to 126.</summary>
    public static float PowerOfTwo(int exponent) => Interop.IntAsFloat((uint)((exponent + 127) << 23));

    /// <summary>Adds a term.</summary>
    /// <param name="place">The sum.</param>
    /// <param name="term">The term.</param>
    /// <param name="unit"><see cref="PowerOfTwo"/> of <see cref="Exponent"/>.</param>
    public readonly void Add(int place, float term, float unit) => Atomic.Add(ref Sums[place], (long)(term * unit));

    /// <summary>The exponent of a power of two above a number.</summary>
    private static int Above(int bits) => (bits >> 23) - 126;
}

/// <summary>The largest magnitude: bits of floats without their sign are in the order of the floats, with NaN last.</summary>
internal readonly struct FixedSumsLargest : IKernel<FixedSumsLargest.Args>
{
    public static void Run(Args args)
    {
        int largest = 0;
        for (int i = GridStride.First; i < args.Count; i += GridStride.Step)
            largest = IntrinsicMath.Max(largest, (int)(Interop.FloatAsInt(args.X[i]) & 0x7FFF_FFFF));
        Atomic.Max(ref args.Largest[args.Factor], largest);
    }

    internal struct Args
    {
        public ArrayView<float> X;
        public ArrayView<int> Largest;
        public int Factor, Count;
    }
}

/// <summary>target += sums.</summary>
internal readonly struct FixedSumsToFloats : IKernel<FixedSumsToFloats.Args>
{
    public static void Run(Args args)
    {
        float factor = args.Adder.IsFinite() ? FixedAdder.PowerOfTwo(-args.Adder.Exponent()) : float.NaN;
        for (int i = GridStride.First; i < args.Count; i += GridStride.Step)
            args.Target[i] += args.Adder.Sums[i] * factor;
    }

    internal struct Args
    {
        public FixedAdder Adder;
        public ArrayView<float> Target;
        public int Count;
    }
}
