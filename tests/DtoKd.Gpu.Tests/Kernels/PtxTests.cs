using DtoKd.Engine.Gpu;
using ILGPU;
using ILGPU.Backends.PTX;
using ILGPU.Runtime.Cuda;

namespace DtoKd.Gpu.Tests.Kernels;

/// <summary>What is compiled for a card, seen without one.</summary>
public sealed class PtxTests(PtxTests.Compiler compiler) : IClassFixture<PtxTests.Compiler>
{
    // Loops by a number that all threads have from one fold, which the analysis does not see.
    private static readonly HashSet<string> _agreed = ["ExpKernel", "ExpBackwardKernel"];

    public static TheoryData<string> Kernels => [.. KernelCatalog.All.Keys];

    [Theory]
    [MemberData(nameof(Kernels))]
    public void Every_kernel_compiles_and_keeps_its_numbers_in_registers(string kernel)
    {
        foreach (var architecture in new[] { CudaArchitecture.SM_80, CudaArchitecture.SM_90 })
        {
            string ptx = compiler.Ptx(kernel, architecture);
            Assert.Contains(".entry", ptx, StringComparison.Ordinal);
            // Local memory is a hundred times slower than a register; a call takes its arguments through it.
            Assert.DoesNotContain(".local", ptx, StringComparison.Ordinal);
            Assert.DoesNotContain("call", ptx, StringComparison.Ordinal);
            Assert.Null(OpenCopies.Problem(ptx));
            if (!_agreed.Contains(kernel))
                Assert.Null(Convergence.Problem(ptx));
        }
    }

    [Theory]
    [InlineData("setp.lt.s32 %p1, %r1, %r2;", "shfl.sync.bfly.b32 %f1, %f2, 16, 31, 4294967295;")]
    [InlineData("setp.lt.s32 %p1, %r3, %r2;", null)]
    public void An_exchange_after_a_branch_by_the_thread_is_found(string condition, string? problem) =>
        Assert.Equal(problem, Convergence.Problem($"""
            .visible .entry Kernel(
            mov.u32 %r1, %tid.x;
            mov.u32 %r3, %ctaid.x;
            {condition}
            @%p1 bra L_2;
            shfl.sync.bfly.b32 %f1, %f2, 16, 31, 4294967295;
            L_2:
            bar.sync 0;
            ret;
            """));

    [Theory]
    [InlineData("cp.async.wait_group 1;", "st.shared.f32 [%rd1], %f1;")]
    [InlineData("cp.async.wait_group 0;", null)]
    public void A_store_beside_copies_under_way_is_found(string wait, string? problem) =>
        Assert.Equal(problem, OpenCopies.Problem($"""
            .visible .entry Kernel(
            st.shared.f32 [%rd1], %f1;
            L_1:
            cp.async.ca.shared.global [%rd1], [%rd2], 4, %r1;
            cp.async.commit_group;
            @%p1 bra L_1;
            {wait}
            bar.sync 0;
            st.shared.f32 [%rd1], %f1;
            ret;
            """));

    [Theory]
    [InlineData("MapWithSlope<GeluFormula>", "fma.rn.f32")]
    [InlineData("MapFlat<UnaryValue<SqrtFormula>>", "sqrt.rn.f32")]
    [InlineData("FoldRows<WarpOfRow, SumOf>", "shfl.sync.bfly.b32")]
    [InlineData("RegisterProduct<LargeTile>", "cp.async.cg.shared.global")]
    [InlineData("RegisterProduct<LargeTile>", "ld.shared.v4.f32")]
    [InlineData("TensorProduct<WideTile, Tf32>", "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32")]
    [InlineData("TensorProduct<WideTile, Bf16>", "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32")]
    [InlineData("TensorProduct<NarrowTile, Bf16>", "ldmatrix.sync.aligned.m8n8.x4.shared.b16")]
    [InlineData("TensorProduct<WideTile, AcrossTf32>", "ld.shared.b32")]
    [InlineData("PackLines<Bf16>", "cvt.rn.bf16x2.f32")]
    [InlineData("AttentionForward<Tile16>", "ld.shared.v4.f32")]
    [InlineData("AttentionForward<Tile8>", "ex2.approx.f32")]
    [InlineData("AttentionKeys<Tile16>", "ld.shared.v4.f32")]
    [InlineData("TensorAttentionForward<AttentionTf32>", "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32")]
    [InlineData("TensorAttentionQueries<AttentionBf16>", "ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16")]
    [InlineData("TensorAttentionKeys<AttentionBf16>", "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32")]
    [InlineData("TensorWindowForward<AttentionBf16>", "ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16")]
    [InlineData("TensorWindowBackward<AttentionTf32>", "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32")]
    [InlineData("WindowForward<Tile16>", "ld.global.nc.v4.f32")]
    [InlineData("WindowBackward<Tile16>", "st.global.v4.f32")]
    [InlineData("ConvProduct<Rows128>", "cp.async.ca.shared.global")]
    [InlineData("ConvProduct<Rows16>", "ld.shared.v4.f32")]
    [InlineData("ConvTensorProduct<WideTile, Bf16>", "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32")]
    [InlineData("ConvTensorProduct<SquareTile, RoundedTf32>", "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32")]
    [InlineData("ConvWeightGradient<Rows64>", "cp.async.ca.shared.global")]
    [InlineData("DotKernel", "fma.rn.f64", "add.f64")]
    public void A_kernel_has_the_instructions_it_is_written_for(string kernel, params string[] anyOf)
    {
        string ptx = compiler.Ptx(kernel, CudaArchitecture.SM_90);
        Assert.Contains(anyOf, instruction => ptx.Contains(instruction, StringComparison.Ordinal));
    }

    /// <summary>Compiles kernels, each once for an architecture.</summary>
    public sealed class Compiler : IDisposable
    {
        private readonly Context _context = GpuContext.ForEmulator(8);
        private readonly Dictionary<CudaArchitecture, PTXBackend> _backends = [];

        public string Ptx(string kernel, CudaArchitecture architecture)
        {
            if (!_backends.TryGetValue(architecture, out var backend))
            {
                _backends[architecture] = backend = new PTXBackend(
                    _context, new CudaCapabilityContext(architecture), architecture, CudaInstructionSet.ISA_78, null);
            }

            var (type, args) = KernelCatalog.All[kernel];
            return ((PTXCompiledKernel)Launcher.Compile(backend, type, args)).PTXAssembly;
        }

        public void Dispose()
        {
            foreach (var backend in _backends.Values)
                backend.Dispose();
            _context.Dispose();
        }
    }
}
