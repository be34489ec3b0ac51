namespace DtoKd.Engine.Cpu;

/// <summary>Products of float matrices: C = AB (+ C) (+ bias); A and B have any strides, C has contiguous rows.</summary>
/// <remarks>
/// K is cut into fixed blocks and each element of C is summed in the order of K, so the bytes of the result depend on neither
/// the number of threads nor which of the methods below computed it. NaN and infinity go the way of plain arithmetic, except that an
/// infinity makes NaN of its row or column where products are paired (<see cref="PairedKernel{TReads}"/>).
/// C must not overlap A or B. With k = 0 the product is zero.
/// </remarks>
internal static unsafe class Gemm
{
    /// <summary>The most steps of a block of K, in which each element is one sum.</summary>
    // 384 steps make a panel of B 24 KiB (AVX2) or 48 KiB (AVX-512). Half of that would fit the L1 beside a panel of A, but what
    // the L2 sends is fast enough, and C is then visited half as often. The same for every kernel: the sums do not differ.
    public const int DepthBlock = 384;

    // About 40 microseconds of one thread; handing out tasks costs two or three.
    private const double SerialFlops = 4e6;

    // With this many products there is work for every thread without cutting the products themselves.
    private const int ManyProducts = 32;

    /// <summary>One product, shared out over the device's threads.</summary>
    /// <param name="device">The threads and the vector width.</param>
    /// <param name="m">Rows of A and C.</param>
    /// <param name="n">Columns of B and C.</param>
    /// <param name="k">Columns of A and rows of B.</param>
    /// <param name="a">A: [m, k].</param>
    /// <param name="b">B: [k, n].</param>
    /// <param name="c">C: [m, n], rows <paramref name="cStride"/> elements apart.</param>
    /// <param name="cStride">Elements from one row of C to the next.</param>
    /// <param name="epilogue">Accumulation, bias and what follows.</param>
    public static void Run(
        CpuDevice device, int m, int n, int k, MatrixView a, MatrixView b, float* c, long cStride,
        GemmEpilogue epilogue = default)
    {
        if (2.0 * m * n * k < SerialFlops)
        {
            RunSerial(device.Simd, m, n, k, a, b, c, cStride, epilogue);
            return;
        }

        switch (device.Simd)
        {
            case SimdLevel.Zen4 when IsPaired(m, n, k, a, b):
                Share<PairedKernel<ReadTwice>>(device.Team, m, n, k, a, b, c, cStride, epilogue);
                break;
            case SimdLevel.Zen5 when IsPaired(m, n, k, a, b):
                Share<PairedKernel<ReadOnce>>(device.Team, m, n, k, a, b, c, cStride, epilogue);
                break;
            case SimdLevel.Zen4 or SimdLevel.Zen5 or SimdLevel.Avx512:
                Share<Avx512Kernel>(device.Team, m, n, k, a, b, c, cStride, epilogue);
                break;
            case SimdLevel.Avx2:
                Share<Avx2Kernel>(device.Team, m, n, k, a, b, c, cStride, epilogue);
                break;
            default:
                Share<PortableKernel>(device.Team, m, n, k, a, b, c, cStride, epilogue);
                break;
        }
    }

    /// <summary>One product on the calling thread, for use inside parallel blocks; a warm thread allocates nothing.</summary>
    /// <inheritdoc cref="Run"/>
    public static void RunSerial(
        SimdLevel simd, int m, int n, int k, MatrixView a, MatrixView b, float* c, long cStride,
        GemmEpilogue epilogue = default)
    {
        switch (simd)
        {
            case SimdLevel.Zen4 when IsPaired(m, n, k, a, b):
                Serial<PairedKernel<ReadTwice>>(m, n, k, a, b, c, cStride, epilogue);
                break;
            case SimdLevel.Zen5 when IsPaired(m, n, k, a, b):
                Serial<PairedKernel<ReadOnce>>(m, n, k, a, b, c, cStride, epilogue);
                break;
            case SimdLevel.Zen4 or SimdLevel.Zen5 or SimdLevel.Avx512:
                Serial<Avx512Kernel>(m, n, k, a, b, c, cStride, epilogue);
                break;
            case SimdLevel.Avx2:
                Serial<Avx2Kernel>(m, n, k, a, b, c, cStride, epilogue);
                break;
            default:
                Serial<PortableKernel>(m, n, k, a, b, c, cStride, epilogue);
                break;
        }
    }

    /// <summary>
    /// Many products of one shape, shared out over the device's threads: product i reads A and B and writes C at the given
    /// offsets (in elements), so a broadcast operand repeats an offset. All products have the same epilogue.
    /// </summary>
    /// <param name="device">The threads and the vector width.</param>
    /// <param name="m">Rows of A and C.</param>
    /// <param name="n">Columns of B and C.</param>
    /// <param name="k">Columns of A and rows of B.</param>
    /// <param name="a">A at offset 0: [m, k].</param>
    /// <param name="aOffsets">Where each product's A begins.</param>
    /// <param name="b">B at offset 0: [k, n].</param>
    /// <param name="bOffsets">Where each product's B begins.</param>
    /// <param name="c">C at offset 0: [m, n], rows <paramref name="cStride"/> elements apart.</param>
    /// <param name="cOffsets">Where each product's C begins; the products must not overlap.</param>
    /// <param name="cStride">Elements from one row of C to the next.</param>
    /// <param name="epilogue">Accumulation, bias and what follows.</param>
    /// <exception cref="ArgumentException">The three lists of offsets differ in length.</exception>
    public static void RunBatch(
        CpuDevice device,
        int m,
        int n,
        int k,
        MatrixView a,
        long[] aOffsets,
        MatrixView b,
        long[] bOffsets,
        float* c,
        long[] cOffsets,
        long cStride,
        GemmEpilogue epilogue = default)
    {
        int batch = cOffsets.Length;
        if (aOffsets.Length != batch || bOffsets.Length != batch)
        {
            throw new ArgumentException(
                $"a batch needs as many offsets of A ({aOffsets.Length}) and B ({bOffsets.Length}) as of C ({batch})");
        }

        double flops = 2.0 * m * n * k;
        if (batch < ManyProducts && flops >= SerialFlops)
        {
            for (int i = 0; i < batch; i++)
                Run(device, m, n, k, a.Offset(aOffsets[i]), b.Offset(bOffsets[i]), c + cOffsets[i], cStride, epilogue.Offset(cOffsets[i]));
            return;
        }

        long perTask = Math.Max(1, (long)(SerialFlops / Math.Max(1, flops)));
        device.Team.ForRange(batch, perTask, (start, end) =>
        {
            for (long i = start; i < end; i++)
            {
                RunSerial(
                    device.Simd, m, n, k, a.Offset(aOffsets[i]), b.Offset(bOffsets[i]), c + cOffsets[i], cStride, epilogue.Offset(cOffsets[i]));
            }
        });
    }

    /// <summary>Whether what packing for a <see cref="PairedKernel{TReads}"/> costs is less than its additions save.</summary>
    /// <remarks>
    /// In the forward pass, a product with the transpose of a weight, the number of rows does not count: one more image in a batch
    /// leaves the others' results as they are. So do one more or less of the columns there, as of a query without its key and value.
    /// </remarks>
    private static bool IsPaired(int m, int n, int k, MatrixView a, MatrixView b)
    {
        const int Fewest = 48, Many = 96, FewestRows = 24;
        if (Math.Min(n, k) < Fewest)
            return false;
        bool isWeightGradient = a.RowStride == 1 && b.ColumnStride == 1;
        return b.ColumnStride != 1 || (isWeightGradient ? Math.Min(m, n) >= Many : Math.Max(n, k) >= Many && m > FewestRows);
    }

    private static void Share<TKernel>(
        ThreadTeam team, int m, int n, int k, MatrixView a, MatrixView b, float* c, long cStride, GemmEpilogue epilogue)
        where TKernel : struct, IMicroKernel
    {
        var sum = new LongSum(m, n, k, a, b, epilogue);
        // A thread that packs a piece for itself waits for no other's cache.
        bool byPieces = sum.Pieces > 1 && sum.Pieces >= team.Threads;
        var plan = new GemmPlan<TKernel>(m, n, k, a, b, c, cStride, epilogue, sum, byPieces ? 1 : team.Threads);
        if (byPieces)
            ShareByPieces(team, plan, sum.Pieces);
        else
            ShareBySlabs(team, plan);
        if (sum.Pieces > 1)
            sum.AddUp(team, c, cStride);
    }

    private static void ShareByPieces<TKernel>(ThreadTeam team, GemmPlan<TKernel> plan, int pieces)
        where TKernel : struct, IMicroKernel => team.For(pieces, piece => Serial(plan.Of(piece)));

    private static void ShareBySlabs<TKernel>(ThreadTeam team, GemmPlan<TKernel> plan)
        where TKernel : struct, IMicroKernel
    {
        float* buffer = PackBuffers.B(plan.SlabLength);
        int* taken = stackalloc int[plan.Counters];
        for (int slab = 0; slab < plan.Slabs; slab++)
        {
            plan.Select(slab, buffer);
            new Span<int>(taken, plan.Counters).Clear();
            if (!plan.PacksAlone)
                team.For(plan.PackTasks, task => plan.Pack(task));
            team.For(Math.Min(team.Threads, plan.Units), member =>
            {
                var own = plan.PacksAlone ? plan.Packed() : plan;
                while (own.Take(member, taken, out var share))
                    own.Compute(share);
            });
        }
    }

    private static void Serial<TKernel>(
        int m, int n, int k, MatrixView a, MatrixView b, float* c, long cStride, in GemmEpilogue epilogue)
        where TKernel : struct, IMicroKernel
    {
        if (m == 0 || n == 0)
            return;
        var sum = new LongSum(m, n, k, a, b, epilogue);
        Serial(new GemmPlan<TKernel>(m, n, k, a, b, c, cStride, epilogue, sum, threads: 1));
        for (int task = 0; task < sum.AddTasks; task++)
            sum.Add(task, c, cStride);
    }

    private static void Serial<TKernel>(GemmPlan<TKernel> plan)
        where TKernel : struct, IMicroKernel
    {
        int* taken = stackalloc int[plan.Counters];
        for (int slab = 0; slab < plan.Slabs; slab++)
        {
            plan.Select(slab, null);
            new Span<int>(taken, plan.Counters).Clear();
            var packed = plan.Packed();
            while (packed.Take(0, taken, out var share))
                packed.Compute(share);
        }
    }
}
