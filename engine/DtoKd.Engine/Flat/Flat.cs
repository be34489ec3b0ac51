using System.Numerics;
using DtoKd.Engine.Cpu;

namespace DtoKd.Engine;

/// <summary>
/// Single passes over flat buffers of a <see cref="ParameterArena"/>'s layout: the Gram matrix of several objectives' gradients
/// and their mixture.
/// </summary>
/// <remarks>
/// Blocks have a fixed length and their sums are added in order, so that results do not depend on the number of threads. Sums
/// and products of sums are in double precision: gradients of very different size, or of 1e-20, keep all their digits.
/// </remarks>
public static unsafe partial class Flat
{
    /// <summary>Elements per block: some blocks of three stores fit a first-level cache together.</summary>
    private const int Block = 2048;

    /// <summary>A megabyte of each store: shorter pieces, in turn on two threads, leave the memory's prefetching little to go on.</summary>
    private const int BlocksPerPiece = 128;

    /// <summary>G[i, j] = sum over the ranges of g_i * g_j, a symmetric K x K matrix in row-major order.</summary>
    /// <param name="gradients">The K gradients, flat, F32 or F64, of one length.</param>
    /// <param name="ranges">What to sum over, in order.</param>
    /// <param name="gram">K * K numbers to fill.</param>
    /// <exception cref="ArgumentException">The gradients differ in length or type, or a range or the matrix does not fit them.</exception>
    public static void Gram(IReadOnlyList<Tensor> gradients, IReadOnlyList<FlatRange> ranges, Span<double> gram)
    {
        int k = gradients.Count;
        if (gram.Length != k * k)
            throw new ArgumentException($"the Gram matrix of {k} gradients has {k * k} elements, not {gram.Length}");
        foreach (var gradient in gradients)
            RequireAlike(gradients[0], gradient);
        foreach (var range in ranges)
            RequireInside(gradients[0], range);
        if (!gradients[0].Device.IsHost)
        {
            Gpu.FlatGpu.ReadGram(gradients, ranges, gram);
            return;
        }

        int pairs = k * (k + 1) / 2;
        var pieces = Pieces(ranges);
        var sums = new double[pieces.Count * pairs];
        ForEach(gradients[0], pieces.Count, piece => AddPairs(gradients, pieces[piece], sums.AsSpan(piece * pairs, pairs)));
        for (int i = 0, pair = 0; i < k; i++)
        {
            for (int j = i; j < k; j++, pair++)
            {
                double sum = 0;
                for (int piece = 0; piece < pieces.Count; piece++)
                    sum += sums[(piece * pairs) + pair];
                gram[(i * k) + j] = gram[(j * k) + i] = sum;
            }
        }
    }

    /// <summary>mixed = sum over k of coefficients[k] * gradients[k]; returns the square of its Euclidean norm.</summary>
    /// <param name="gradients">The gradients, flat, of one length and type.</param>
    /// <param name="coefficients">One number for each.</param>
    /// <param name="mixed">The result; may be one of the gradients.</param>
    /// <exception cref="ArgumentException">The buffers differ in length or type, or there are not as many coefficients.</exception>
    public static double Mix(IReadOnlyList<Tensor> gradients, ReadOnlySpan<double> coefficients, Tensor mixed)
    {
        if (coefficients.Length != gradients.Count)
            throw new ArgumentException($"{coefficients.Length} coefficients for {gradients.Count} gradients");
        foreach (var gradient in gradients)
            RequireAlike(mixed, gradient);
        if (!mixed.Device.IsHost)
        {
            Gpu.FlatGpu.Mix(gradients, coefficients, mixed);
            return SquaredNorm(mixed);
        }

        var factors = coefficients.ToArray();
        var pieces = Pieces([new FlatRange(0, mixed.Count)]);
        var sums = new double[pieces.Count];
        ForEach(mixed, pieces.Count, piece =>
        {
            var (start, length) = pieces[piece];
            if (mixed.DType == DType.F64)
                MixPiece<double>(gradients, factors, mixed, start, length);
            else
                MixPiece<float>(gradients, factors, mixed, start, length);
            AddPairs([mixed], pieces[piece], sums.AsSpan(piece, 1));
        });
        return sums.Sum();
    }

    /// <summary>Adds a gradient to another.</summary>
    /// <param name="gradient">What is added, flat.</param>
    /// <param name="sum">Flat, of the same length and type; changed in place.</param>
    /// <exception cref="ArgumentException">The buffers differ in length or type.</exception>
    public static void Add(Tensor gradient, Tensor sum)
    {
        RequireAlike(sum, gradient);
        if (!sum.Device.IsHost)
        {
            Gpu.FlatGpu.Mix([sum, gradient], [1, 1], sum);
            return;
        }

        double[] ones = [1, 1];
        var pieces = Pieces([new FlatRange(0, sum.Count)]);
        ForEach(sum, pieces.Count, piece =>
        {
            var (start, length) = pieces[piece];
            if (sum.DType == DType.F64)
                MixPiece<double>([sum, gradient], ones, sum, start, length);
            else
                MixPiece<float>([sum, gradient], ones, sum, start, length);
        });
    }

    /// <summary>The square of the Euclidean norm.</summary>
    public static double SquaredNorm(Tensor flat)
    {
        double square = 0;
        Gram([flat], [new FlatRange(0, flat.Count)], new Span<double>(ref square));
        return square;
    }

    private static void MixPiece<T>(IReadOnlyList<Tensor> gradients, double[] factors, Tensor mixed, long start, long length)
        where T : unmanaged, INumber<T>
    {
        T* target = mixed.Pointer<T>() + start;
        for (long block = 0; block < length; block += Block)
        {
            int count = (int)Math.Min(Block, length - block);
            // The first factor overwrites; the mixture may stand in the place of any of the gradients, so all are read
            // before a vector is written.
            switch (gradients.Count)
            {
                case 1:
                    Mix1(target + block, gradients[0].Pointer<T>() + start + block, T.CreateChecked(factors[0]), count);
                    break;
                case 2:
                    Mix2(
                        target + block,
                        gradients[0].Pointer<T>() + start + block,
                        gradients[1].Pointer<T>() + start + block,
                        T.CreateChecked(factors[0]),
                        T.CreateChecked(factors[1]),
                        count);
                    break;
                default:
                    MixMany(target + block, gradients, factors, start + block, count);
                    break;
            }
        }
    }

    private static void Mix1<T>(T* target, T* a, T fa, int count)
        where T : unmanaged, INumber<T>
    {
        int i = 0;
        for (; i + Vector<T>.Count <= count; i += Vector<T>.Count)
            Vector.Store(Vector.Load(a + i) * fa, target + i);
        for (; i < count; i++)
            target[i] = a[i] * fa;
    }

    private static void Mix2<T>(T* target, T* a, T* b, T fa, T fb, int count)
        where T : unmanaged, INumber<T>
    {
        int i = 0;
        for (; i + Vector<T>.Count <= count; i += Vector<T>.Count)
            Vector.Store((Vector.Load(a + i) * fa) + (Vector.Load(b + i) * fb), target + i);
        for (; i < count; i++)
            target[i] = (a[i] * fa) + (b[i] * fb);
    }

    private static void MixMany<T>(T* target, IReadOnlyList<Tensor> gradients, double[] factors, long start, int count)
        where T : unmanaged, INumber<T>
    {
        T* sum = stackalloc T[Block];
        Mix2(sum, gradients[0].Pointer<T>() + start, gradients[1].Pointer<T>() + start, T.CreateChecked(factors[0]), T.CreateChecked(factors[1]), count);
        for (int k = 2; k < gradients.Count; k++)
            Mix2(sum, sum, gradients[k].Pointer<T>() + start, T.One, T.CreateChecked(factors[k]), count);
        new ReadOnlySpan<T>(sum, count).CopyTo(new Span<T>(target, count));
    }

    private static void AddPairs(IReadOnlyList<Tensor> gradients, FlatRange piece, Span<double> sums)
    {
        if (gradients.Count is 2 or 3 && gradients[0].DType == DType.F32)
        {
            Span<double> six = stackalloc double[6];
            Products(
                gradients[0].Pointer<float>() + piece.Start,
                gradients[1].Pointer<float>() + piece.Start,
                gradients[^1].Pointer<float>() + piece.Start,
                piece.Length,
                six);
            // Of two gradients the second stood in for a third.
            ReadOnlySpan<int> pairs = gradients.Count == 3 ? [0, 1, 2, 3, 4, 5] : [0, 1, 3];
            for (int i = 0; i < pairs.Length; i++)
                sums[i] += six[pairs[i]];
            return;
        }

        for (long block = 0; block < piece.Length; block += Block)
        {
            int count = (int)Math.Min(Block, piece.Length - block);
            long start = piece.Start + block;
            int pair = 0;
            for (int i = 0; i < gradients.Count; i++)
            {
                for (int j = i; j < gradients.Count; j++, pair++)
                {
                    sums[pair] += gradients[i].DType == DType.F64
                        ? Dot(gradients[i].Pointer<double>() + start, gradients[j].Pointer<double>() + start, count)
                        : Dot(gradients[i].Pointer<float>() + start, gradients[j].Pointer<float>() + start, count);
                }
            }
        }
    }

    /// <summary>
    /// The products aa, ab, ac, bb, bc, cc of three gradients, and so of the paper's cases, at the speed of memory: an element is
    /// read, and made a double, once for all its products.
    /// </summary>
    private static void Products(float* a, float* b, float* c, long count, Span<double> six)
    {
        Vector<double> aa = default, ab = default, ac = default, bb = default, bc = default, cc = default;
        long i = 0;
        for (; i + Vector<float>.Count <= count; i += Vector<float>.Count)
        {
            Vector.Widen(Vector.Load(a + i), out var a0, out var a1);
            Vector.Widen(Vector.Load(b + i), out var b0, out var b1);
            Vector.Widen(Vector.Load(c + i), out var c0, out var c1);
            aa = Vector.FusedMultiplyAdd(a1, a1, Vector.FusedMultiplyAdd(a0, a0, aa));
            ab = Vector.FusedMultiplyAdd(a1, b1, Vector.FusedMultiplyAdd(a0, b0, ab));
            ac = Vector.FusedMultiplyAdd(a1, c1, Vector.FusedMultiplyAdd(a0, c0, ac));
            bb = Vector.FusedMultiplyAdd(b1, b1, Vector.FusedMultiplyAdd(b0, b0, bb));
            bc = Vector.FusedMultiplyAdd(b1, c1, Vector.FusedMultiplyAdd(b0, c0, bc));
            cc = Vector.FusedMultiplyAdd(c1, c1, Vector.FusedMultiplyAdd(c0, c0, cc));
        }

        (six[0], six[1], six[2]) = (Vector.Sum(aa), Vector.Sum(ab), Vector.Sum(ac));
        (six[3], six[4], six[5]) = (Vector.Sum(bb), Vector.Sum(bc), Vector.Sum(cc));
        for (; i < count; i++)
        {
            double x = a[i], y = b[i], z = c[i];
            (six[0], six[1], six[2]) = (six[0] + (x * x), six[1] + (x * y), six[2] + (x * z));
            (six[3], six[4], six[5]) = (six[3] + (y * y), six[4] + (y * z), six[5] + (z * z));
        }
    }

    private static double Dot(float* a, float* b, int count)
    {
        Vector<double> low = default, high = default;
        int i = 0;
        for (; i + Vector<float>.Count <= count; i += Vector<float>.Count)
        {
            Vector.Widen(Vector.Load(a + i), out var aLow, out var aHigh);
            Vector.Widen(Vector.Load(b + i), out var bLow, out var bHigh);
            low = Vector.FusedMultiplyAdd(aLow, bLow, low);
            high = Vector.FusedMultiplyAdd(aHigh, bHigh, high);
        }

        double sum = Vector.Sum(low + high);
        for (; i < count; i++)
            sum += (double)a[i] * b[i];
        return sum;
    }

    private static double Dot(double* a, double* b, int count)
    {
        double sum = 0;
        for (int i = 0; i < count; i++)
            sum += a[i] * b[i];
        return sum;
    }

    /// <summary>Passes go by address: a buffer of another layout would be read, or written, beyond its end.</summary>
    private static void RequireAlike(Tensor flat, params ReadOnlySpan<Tensor?> others)
    {
        foreach (var other in others)
        {
            if (other is not null && (other.Count != flat.Count || other.DType != flat.DType))
                throw new ArgumentException($"a flat buffer of {other.DType} {other.Shape} beside one of {flat.DType} {flat.Shape}: expected the same layout");
        }
    }

    private static void RequireInside(Tensor flat, FlatRange range)
    {
        if (range.Start < 0 || range.Length < 0 || range.Start > flat.Count - range.Length)
            throw new ArgumentException($"the range {range.Start} .. {range.Start + range.Length} is not inside a flat buffer of {flat.Count} elements");
    }

    /// <summary>Checks what an optimiser's step over a range is given.</summary>
    private static void RequireUpdate(FlatRange range, Tensor weights, params ReadOnlySpan<Tensor?> others)
    {
        RequireInside(weights, range);
        RequireAlike(weights, others);
    }

    /// <summary>Cuts ranges into pieces of at most a fixed length.</summary>
    private static List<FlatRange> Pieces(IReadOnlyList<FlatRange> ranges)
    {
        const long Length = (long)Block * BlocksPerPiece;
        var pieces = new List<FlatRange>();
        foreach (var (start, length) in ranges)
        {
            for (long from = 0; from < length; from += Length)
                pieces.Add(new FlatRange(start + from, Math.Min(Length, length - from)));
        }

        return pieces;
    }

    private static void ForEach(Tensor tensor, int pieces, Action<int> body) => ((CpuDevice)tensor.Device).Team.For(pieces, body);
}
