using DtoKd.Engine.Cpu;
using static DtoKd.Engine.OpInput;

namespace DtoKd.Engine.Tests.Memory;

/// <summary>
/// No kernel reads or writes beside its tensors, and none depends on where they start: on memory that touches an unreadable
/// page every operation gives the bytes it gives elsewhere. A fault ends the process and prints the kernel's stack trace; set
/// DTOKD_TRACE=1 to have each case named on standard error before it runs.
/// </summary>
public class GuardPageTests
{
    private static readonly bool _trace = Environment.GetEnvironmentVariable("DTOKD_TRACE") == "1";

    public static TheoryData<GuardedSide, SimdLevel> Sides
    {
        get
        {
            var data = new TheoryData<GuardedSide, SimdLevel>();
            foreach (var side in Enum.GetValues<GuardedSide>())
            {
                foreach (var simd in Enum.GetValues<SimdLevel>())
                    data.Add(side, simd);
            }

            return data;
        }
    }

    [Fact]
    public void The_pages_beside_a_block_are_unreadable()
    {
        SkipElsewhere();
        foreach (long bytes in new long[] { 0, 1, 4, 4095, 4096, 4097, 10000 })
        {
            var after = new GuardedPool(GuardedSide.After);
            var block = after.Rent(bytes, "test");
            Terminate(block.Address, bytes);
            Assert.False(GuardedPool.IsReadable(block.Address + (nint)bytes));
            Assert.Equal(bytes > 0, GuardedPool.IsReadable(block.Address));
            // What lies at the address from then on is another test's business: it may be given out again at once.
            block.Release();
            var before = new GuardedPool(GuardedSide.Before);
            block = before.Rent(bytes, "test");
            Terminate(block.Address, bytes);
            Assert.False(GuardedPool.IsReadable(block.Address - 1));
            Assert.Equal(bytes > 0, GuardedPool.IsReadable(block.Address));
            block.Release();
            Assert.Equal((0, 0), (after.Live, before.Live));
        }
    }

    [Theory]
    [MemberData(nameof(Sides))]
    public void Every_declared_sample_stays_inside_its_tensors(GuardedSide side, SimdLevel simd)
    {
        SkipElsewhere();
        using var pair = new DevicePair(side, simd);
        foreach (var op in OpDeclaration.All)
        {
            foreach (var sample in op.Samples)
            {
                bool gradients = op.IsDifferentiable && sample.Inputs.Any(input => input.DType == DType.F32);
                pair.Check($"{op.Methods[0]}: {sample.Label}", sample, gradients);
                pair.Check($"{op.Methods[0]}: {sample.Label}, strided", sample, gradients, OpRun.Layout.Strided);
            }
        }
    }

    [Theory]
    [MemberData(nameof(Sides))]
    public void Every_length_around_the_vector_widths_stays_inside_its_tensors(GuardedSide side, SimdLevel simd)
    {
        SkipElsewhere();
        using var pair = new DevicePair(side, simd);
        for (int n = 0; n <= 70; n++)
        {
            foreach (var (name, sample) in SamplesOf(n))
                pair.Check($"{name} of {n}", sample, gradients: true);
        }
    }

    [Theory]
    [MemberData(nameof(Sides))]
    public void Every_small_product_stays_inside_its_tensors(GuardedSide side, SimdLevel simd)
    {
        SkipElsewhere();
        using var pair = new DevicePair(side, simd);
        int[] sizes = [1, 2, 3, 5, 7, 8, 9, 13, 15, 16, 17, 31, 32, 33, 47, 49, 64, 65];
        for (int i = 0; i < sizes.Length; i++)
        {
            for (int j = 0; j < sizes.Length; j++)
                Check(sizes[i], sizes[j], sizes[(i + (5 * j)) % sizes.Length]);
        }

        // Large enough to be paired.
        foreach (var (m, n, k) in new[] { (97, 99, 49), (99, 97, 98), (26, 113, 48), (13, 98, 51), (108, 96, 96) })
            Check(m, n, k);

        void Check(int m, int n, int k) => pair.Check(
            $"product {m} x {k} x {n}",
            new OpSample("", [Float(m, k), Float(k, n)], t => Op.MatMul(t[0], t[1])),
            gradients: true);
    }

    [Theory]
    [InlineData(GuardedSide.After)]
    [InlineData(GuardedSide.Before)]
    public void Every_flat_pass_stays_inside_its_buffers(GuardedSide side)
    {
        SkipElsewhere();
        int[] lengths = [.. Enumerable.Range(0, 71), 2047, 2048, 2049, 32769];
        foreach (var dtype in new[] { DType.F32, DType.F64 })
        {
            foreach (int length in lengths)
            {
                Trace($"flat passes over {length} of {dtype}");
                using var plain = new CpuDevice(2);
                var pool = new GuardedPool(side);
                using (var guarded = new CpuDevice(pool, 2))
                    Assert.Equal(FlatPasses(plain, length, dtype), FlatPasses(guarded, length, dtype));
                Assert.Equal(0, pool.Live);
            }
        }
    }

    private static IEnumerable<(string Name, OpSample Sample)> SamplesOf(int n)
    {
        yield return ("exp", new("", [Float(n)], t => Op.Exp(t[0])));
        yield return ("gelu", new("", [Float(n)], t => Op.Gelu(t[0])));
        yield return ("mlp", new("", [Float(3, n), Float(5, n), Float(5), Float(n, 5), Float(n), Float(3, n)],
            t => Op.Mlp(t[0], t[1], t[2], t[3], t[4], t[5])));
        yield return ("mul", new("", [Float(n), Float(n)], t => Op.Mul(t[0], t[1])));
        yield return ("mul by a row", new("", [Float(3, n), Float(n)], t => Op.Mul(t[0], t[1])));
        yield return ("add a column", new("", [Float(3, n), Float(3, 1)], t => Op.Add(t[0], t[1])));
        yield return ("where", new("", [Mask(3, n), Float(3, n), Float(n)], t => Op.Where(t[0], t[1], t[2])));
        yield return ("sum", new("", [Float(n)], t => Op.Sum(t[0])));
        yield return ("sum of rows", new("", [Float(3, n)], t => Op.Sum(t[0], [1])));
        yield return ("sum of columns", new("", [Float(3, n)], t => Op.Sum(t[0], [0])));
        yield return ("copy", new("", [Float(3, n)], t => Op.Contiguous(Op.Transpose(t[0], 0, 1))));
        yield return ("concat", new("", [Float(2, n), Float(2, 3)], t => Op.Concat([t[0], t[1]], 1)));
        if (n == 0)
            yield break;
        yield return ("softmax", new("", [Float(3, n)], t => Op.Softmax(t[0])));
        yield return ("log softmax", new("", [Float(3, n)], t => Op.LogSoftmax(t[0])));
        yield return ("layer norm", new("", [Float(3, n), Float(n), Float(n)], t => Op.LayerNorm(t[0], t[1], t[2])));
        yield return ("attention", new("", [Float(n, 5), Float(n, 5), Float(n, 3)], t => Op.Attention(t[0], t[1], t[2])));
        yield return ("depth of attention", new("", [Float(3, n), Float(4, n), Float(4, n)], t => Op.Attention(t[0], t[1], t[2])));
        yield return ("conv", new("", [Float(1, 2, 3, n), Float(3, 2, 3, 3)], t => Op.Conv2d(t[0], t[1], padding: 1)));
        yield return ("max pool", new("", [Float(1, 2, 3, n), Float(1)], t => Op.MaxPool2d(t[0], 2, 1, 1) + t[1]));
    }

    /// <summary>What the optimisers and the mixing do to a buffer of so many elements.</summary>
    private static double[] FlatPasses(CpuDevice device, int length, DType dtype)
    {
        using var step = Step.Evaluation(device);
        Tensor Filled(int seed) => Float(length).Make(step, seed, dtype);
        Tensor[] gradients = [Filled(1), Filled(2), Filled(3)];
        var gram = new double[9];
        Flat.Gram(gradients, [new FlatRange(0, length)], gram);
        double square = Flat.Mix(gradients, [0.2, 0.3, 0.5], gradients[0]);
        var whole = new FlatRange(0, length);
        Tensor[] states = [Filled(4), Filled(5), Filled(6), Op.Abs(Filled(7))];
        Flat.Adam(states[0], gradients[0], 0.5, states[2], states[3], null, whole, new AdamStep(1e-3, 0.9, 0.999, 1e-8, 0.05, 3));
        Flat.Sgd(states[0], gradients[1], 0.5, states[1], whole, new SgdStep(1e-3, 0.9, 0.05, Nesterov: true));
        Flat.Lion(states[0], gradients[1], 0.5, states[2], whole, new LionStep(1e-3, 0.9, 0.99, 0.05));
        Flat.Average(states[1], states[0], 0.1);
        return [.. gram, square, Flat.SquaredNorm(gradients[1]), .. gradients[0].ToDoubles(), .. states.SelectMany(state => state.ToDoubles())];
    }

    // An empty path, which is looked up without reading on.
    private static unsafe void Terminate(nint block, long bytes)
    {
        if (bytes > 0)
            *(byte*)block = 0;
    }

    private static void SkipElsewhere() =>
        Assert.SkipUnless(GuardedPool.IsSupported, "unreadable pages are made with Linux system calls");

    private static void Trace(string line)
    {
        if (_trace)
            Console.Error.WriteLine(line);
    }

    /// <summary>An ordinary device and one whose memory is guarded.</summary>
    private sealed class DevicePair : IDisposable
    {
        private readonly string _where;
        private readonly CpuDevice _plain;
        private readonly CpuDevice _guarded;
        private readonly GuardedPool _pool;

        public DevicePair(GuardedSide side, SimdLevel simd)
        {
            _where = $"{simd}, page {side.ToString().ToLowerInvariant()} the tensor";
            _pool = new GuardedPool(side);
            _plain = new CpuDevice(2, simd);
            _guarded = new CpuDevice(_pool, 2, simd);
        }

        public void Check(string name, OpSample sample, bool gradients, OpRun.Layout layout = OpRun.Layout.Contiguous)
        {
            Trace($"{name} on {_where}");
            var plain = OpRun.On(_plain, sample, DType.F32, gradients, layout);
            var run = OpRun.On(_guarded, sample, DType.F32, gradients, layout);
            Assert.True(plain.Result.SequenceEqual(run.Result), $"{name} on {_where}: the result differs");
            for (int i = 0; i < run.Gradients.Length; i++)
            {
                if (run.Gradients[i] is { } gradient)
                    Assert.True(plain.Gradients[i]!.SequenceEqual(gradient), $"{name} on {_where}: gradient {i} differs");
            }

            Assert.Equal(0, _pool.Live);
        }

        public void Dispose()
        {
            _plain.Dispose();
            _guarded.Dispose();
        }
    }
}
