using ILGPU;
using ILGPU.Runtime;

namespace DtoKd.Engine.Gpu;

/// <summary>The single passes of <see cref="Flat"/> over buffers of a GPU. Sums are cut into pieces of fixed length, in double.</summary>
internal static class FlatGpu
{
    private const int Piece = 32768;

    // Of those that are read together.
    private const int MixedTogether = 4;

    /// <summary>As <see cref="Flat.Gram"/>: the upper triangle row by row, left on the device.</summary>
    public static void Gram(IReadOnlyList<Tensor> gradients, IReadOnlyList<FlatRange> ranges, ArrayView<double> products)
    {
        int k = gradients.Count, pairs = k * (k + 1) / 2;
        var device = (GpuDevice)gradients[0].Device;
        long pieces = ranges.Sum(range => (range.Length + Piece - 1) / Piece);
        if (pieces == 0)
        {
            products.MemSetToZero(device.Stream);
            return;
        }

        var scratch = device.Pool.Rent(pairs * pieces * sizeof(double), "gram");
        var sums = device.View<double>(scratch, 0, pairs * pieces);
        long done = 0;
        for (int i = 0; i < k; i++)
        {
            for (int j = i; j < k; j++)
            {
                ArrayView<float> a = Floats(gradients[i]), b = Floats(gradients[j]);
                foreach (var (start, length) in ranges)
                {
                    if (length == 0)
                        continue;
                    long count = (length + Piece - 1) / Piece;
                    device.Launcher.Launch<DotKernel, DotKernel.Args>(count, device.GroupSize, new()
                    {
                        A = a.SubView(start, length),
                        B = b.SubView(start, length),
                        Sums = sums.SubView(done, count),
                        Count = length,
                        Piece = Piece,
                    });
                    done += count;
                }
            }
        }

        device.Launcher.Launch<SumOfPieces, SumOfPieces.Args>(pairs, device.GroupSize, new()
        {
            Pieces = sums,
            Sums = products,
            Count = (int)pieces,
        });
        scratch.Release();
    }

    /// <summary>As <see cref="Flat.Gram"/>, for the host to wait for.</summary>
    public static void ReadGram(IReadOnlyList<Tensor> gradients, IReadOnlyList<FlatRange> ranges, Span<double> gram)
    {
        int k = gradients.Count, pairs = k * (k + 1) / 2;
        var device = (GpuDevice)gradients[0].Device;
        var products = device.Pool.Rent(pairs * sizeof(double), "gram");
        Gram(gradients, ranges, device.View<double>(products, 0, pairs));
        Span<double> results = new double[pairs];
        device.Read(products, 0, System.Runtime.InteropServices.MemoryMarshal.AsBytes(results));
        products.Release();
        for (int i = 0, pair = 0; i < k; i++)
        {
            for (int j = i; j < k; j++, pair++)
                gram[(i * k) + j] = gram[(j * k) + i] = results[pair];
        }
    }

    /// <summary>As <see cref="Flat.Mix"/>, without the norm.</summary>
    public static void Mix(IReadOnlyList<Tensor> gradients, ReadOnlySpan<double> coefficients, Tensor mixed)
    {
        var device = (GpuDevice)mixed.Device;
        var target = Floats(mixed);
        // The mixture may stand in the place of any of the gradients: beyond those read together it grows elsewhere first.
        var scratch = gradients.Count > MixedTogether ? device.Pool.Rent(mixed.Count * sizeof(float), "mix") : null;
        var sum = scratch is null ? target : device.View<float>(scratch, 0, mixed.Count);
        for (int first = 0; first < gradients.Count;)
        {
            int earlier = first > 0 ? 1 : 0, count = Math.Min(MixedTogether - earlier, gradients.Count - first);
            var args = new MixKernel.Args
            {
                To = first + count == gradients.Count ? target : sum,
                A = sum,
                B = target,
                C = target,
                D = target,
                FactorA = 1,
                Terms = earlier + count,
                Count = mixed.Count,
            };
            for (int i = 0; i < count; i++)
                args.Set(earlier + i, Floats(gradients[first + i]), (float)coefficients[first + i]);
            GridStride.Launch<MixKernel, MixKernel.Args>(device, mixed.Count, args);
            first += count;
        }

        scratch?.Release();
    }

    /// <summary>
    /// Applies a rule to every element of a range of the weights, their gradient times a factor, and up to three states.
    /// </summary>
    public static void Update<TRule>(
        TRule rule,
        GradScale scale,
        FlatRange range,
        Tensor weights,
        Tensor gradient,
        Tensor? a = null,
        Tensor? b = null,
        Tensor? c = null)
        where TRule : struct, IUpdateRule
    {
        var (start, length) = range;
        var onDevice = scale.Source?.Remote;
        GridStride.Launch<UpdateKernel<TRule>, UpdateKernel<TRule>.Args>((GpuDevice)weights.Device, length, new()
        {
            Weights = Part(weights),
            Gradient = Part(gradient),
            A = Part(a ?? weights),
            B = Part(b ?? weights),
            C = Part(c ?? weights),
            Count = length,
            Rule = rule,
            Scale = (float)scale.Value,
            // Something of the type where there is none.
            ScaleOnDevice = onDevice?.View ?? Part(weights),
            IsOnDevice = onDevice is null ? 0 : 1,
        });

        ArrayView<float> Part(Tensor flat) => Floats(flat).SubView(start, length);
    }

    /// <summary>As <see cref="Flat.Increment"/>.</summary>
    public static void Increment(Tensor counter) =>
        ((GpuDevice)counter.Device).Launcher.Launch<IncrementKernel, IncrementKernel.Args>(
            1, 32, new() { Counter = GpuDevice.View<long>(counter) });

    private static ArrayView<float> Floats(Tensor flat) => flat.DType == DType.F32
        ? GpuDevice.View<float>(flat)
        : throw new NotSupportedException($"a pass over {flat} on {flat.Device.Name}: double precision runs on the CPU");
}

/// <summary>A group for each piece: the inner product of two pieces in double.</summary>
internal readonly struct DotKernel : IKernel<DotKernel.Args>
{
    public static void Run(Args args)
    {
        long first = (long)Grid.IdxX * args.Piece;
        long end = IntrinsicMath.Min(first + args.Piece, args.Count);
        double sum = 0;
        for (long i = first + Group.IdxX; i < end; i += Group.DimX)
            sum += (double)args.A[i] * args.B[i];
        sum = GroupFold.Sum(sum);
        if (Group.IdxX == 0)
            args.Sums[Grid.IdxX] = sum;
    }

    internal struct Args
    {
        public ArrayView<float> A, B;
        public ArrayView<double> Sums;
        public long Count;
        public int Piece;
    }
}

/// <summary>A group for each sum: adds up its pieces.</summary>
internal readonly struct SumOfPieces : IKernel<SumOfPieces.Args>
{
    public static void Run(Args args)
    {
        long first = (long)Grid.IdxX * args.Count;
        double sum = 0;
        for (int i = Group.IdxX; i < args.Count; i += Group.DimX)
            sum += args.Pieces[first + i];
        sum = GroupFold.Sum(sum);
        if (Group.IdxX == 0)
            args.Sums[Grid.IdxX] = sum;
    }

    internal struct Args
    {
        public ArrayView<double> Pieces, Sums;
        public int Count;
    }
}

/// <summary>to = a fa + b fb + ..., the first so many terms.</summary>
internal readonly struct MixKernel : IKernel<MixKernel.Args>
{
    public static void Run(Args args)
    {
        for (long i = GridStride.First; i < args.Count; i += GridStride.Step)
        {
            float sum = args.A[i] * args.FactorA;
            if (args.Terms > 1)
                sum = Ptx.Fma(args.B[i], args.FactorB, sum);
            if (args.Terms > 2)
                sum = Ptx.Fma(args.C[i], args.FactorC, sum);
            if (args.Terms > 3)
                sum = Ptx.Fma(args.D[i], args.FactorD, sum);
            args.To[i] = sum;
        }
    }

    internal struct Args
    {
        public ArrayView<float> To, A, B, C, D;
        public float FactorA, FactorB, FactorC, FactorD;
        public int Terms;
        public long Count;

        public void Set(int term, ArrayView<float> view, float factor)
        {
            switch (term)
            {
                case 0:
                    (A, FactorA) = (view, factor);
                    break;
                case 1:
                    (B, FactorB) = (view, factor);
                    break;
                case 2:
                    (C, FactorC) = (view, factor);
                    break;
                default:
                    (D, FactorD) = (view, factor);
                    break;
            }
        }
    }
}

/// <summary>Adds 1 to a counter.</summary>
internal readonly struct IncrementKernel : IKernel<IncrementKernel.Args>
{
    public static void Run(Args args)
    {
        if (Group.IdxX == 0)
            args.Counter[0] += 1;
    }

    internal struct Args
    {
        public ArrayView<long> Counter;
    }
}
