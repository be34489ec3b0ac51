using ILGPU;

namespace DtoKd.Engine.Gpu;

internal sealed class MatMulGpu : IMatMulKernels
{
    public void Product(Tensor a, Tensor b, Tensor? bias, Tensor y, bool accumulate, ProductEnd end)
    {
        if (y.Count == 0)
            return;
        var shape = new MatMulPlan(a, b, y);
        Run(a, b, bias, y, accumulate, shape, ProductPlan.For(ProductOperands.ShapeOf(a, b, shape), (GpuDevice)y.Device));
        end.Run(y);
    }

    /// <summary>A product with a given kernel and cut.</summary>
    internal static void Run(Tensor a, Tensor b, Tensor? bias, Tensor y, bool accumulate, MatMulPlan shape, ProductPlan plan)
    {
        var device = (GpuDevice)y.Device;
        using var operands = new ProductOperands(a, b, shape, plan.Variant, device);
        var args = new ProductArgs
        {
            A = operands.A,
            B = operands.B,
            Y = GpuDevice.View<float>(y),
            // A view must be valid even where it is not read.
            Bias = GpuDevice.View<float>(bias ?? y),
            HasBias = bias is null ? 0 : 1,
            Accumulate = accumulate ? 1 : 0,
            IsVectorY = shape.Columns % 4 == 0 && y.Offset % 4 == 0 ? 1 : 0,
            M = shape.Rows,
            N = shape.Columns,
            K = operands.Terms,
            Pieces = plan.Pieces,
            PerPiece = plan.PerPiece / plan.Variant.PerWord,
            Batch = operands.Batch,
        };
        // A product of no terms reads nothing, but finds where a vector of four lines would be: at a multiple of its size.
        if (shape.Inner == 0)
            args.A = args.B = new ProductOperand { X = device.View<float>(y.Storage, 0, 1), Lines = 4 };
        long groups = plan.Variant.TilesOf(ProductOperands.ShapeOf(a, b, shape)) * args.Batch.Count * plan.Pieces;
        if (plan.Pieces == 1)
        {
            plan.Variant.Launch(device, groups, args);
            return;
        }

        long count = y.Count;
        var sums = device.Pool.Rent(count * plan.Pieces * sizeof(float), "matmul");
        var whole = new ProductPieces.Args
        {
            Parts = device.View<float>(sums, 0, count * plan.Pieces),
            Y = args.Y,
            Bias = args.Bias,
            HasBias = args.HasBias,
            Accumulate = args.Accumulate,
            Columns = shape.Columns,
            Pieces = plan.Pieces,
            Count = (int)count,
        };
        (args.Y, args.HasBias, args.Accumulate, args.IsVectorY) = (whole.Parts, 0, 0, shape.Columns % 4 == 0 ? 1 : 0);
        plan.Variant.Launch(device, groups, args);
        GridStride.Launch<ProductPieces, ProductPieces.Args>(device, count, whole);
        sums.Release();
    }
}

/// <summary>The operands of a product as a kernel reads them: where they lie, or packed into scratch memory.</summary>
internal readonly struct ProductOperands : IDisposable
{
    private readonly Storage? _packedA, _packedB;

    public ProductOperands(Tensor a, Tensor b, MatMulPlan shape, ProductVariant variant, GpuDevice device)
    {
        Strides stridesA = shape.A, stridesB = shape.B;
        (A, B) = (Left(a, shape), Right(b, shape));
        Terms = shape.Inner;
        if (variant.Pack is not null && shape.Inner > 0)
        {
            Terms = variant.WordsOf(shape.Inner);
            A = Packed(A, shape, variant, device, ref stridesA, out _packedA);
            B = Packed(B, shape, variant, device, ref stridesB, out _packedB);
        }

        Batch = new Walk(new StridedLoop(shape.Batch, stridesA, stridesB));
    }

    public ProductOperand A { get; }

    public ProductOperand B { get; }

    /// <summary>Words of a line.</summary>
    public int Terms { get; }

    /// <summary>The batch's offsets in both.</summary>
    public Walk Batch { get; }

    public void Dispose()
    {
        _packedA?.Release();
        _packedB?.Release();
    }

    /// <summary>What a plan is made for.</summary>
    public static ProductShape ShapeOf(Tensor a, Tensor b, MatMulPlan shape) =>
        new(shape.Rows, shape.Columns, shape.Inner, shape.Batch.Count, LayoutOf(Left(a, shape)), LayoutOf(Right(b, shape)));

    private static OperandLayout LayoutOf(ProductOperand operand) =>
        operand.IsVectorAlong != 0 ? OperandLayout.Along : operand.IsVector != 0 ? OperandLayout.Across : OperandLayout.Strided;

    private static ProductOperand Left(Tensor a, MatMulPlan shape) =>
        Operand(a, shape.Rows, shape.RowStrideA, shape.ColumnStrideA, shape, shape.A);

    private static ProductOperand Right(Tensor b, MatMulPlan shape) =>
        Operand(b, shape.Columns, shape.ColumnStrideB, shape.RowStrideB, shape, shape.B);

    private static ProductOperand Packed(
        ProductOperand operand, MatMulPlan shape, ProductVariant variant, GpuDevice device, ref Strides strides, out Storage? scratch)
    {
        scratch = null;
        if (!variant.Packs(LayoutOf(operand)))
            return operand;
        int words = variant.WordsOf(shape.Inner);
        bool isOne = true;
        for (int axis = 0; axis < shape.Batch.Rank; axis++)
            isOne &= strides[axis] == 0 || shape.Batch[axis] == 1;
        int matrices = isOne ? 1 : checked((int)shape.Batch.Count);
        int count = checked(matrices * operand.Lines * words);
        scratch = device.Pool.Rent((long)count * sizeof(uint), "matmul");
        var source = strides;
        variant.Pack!(device, new PackArgs
        {
            Source = operand,
            Y = device.View<uint>(scratch, 0, count),
            Terms = shape.Inner,
            Words = words,
            Matrices = matrices,
            Batch = new Walk(new StridedLoop(shape.Batch, source)),
        });
        strides = Strides.Contiguous(shape.Batch);
        for (int axis = 0; axis < shape.Batch.Rank; axis++)
            strides[axis] *= isOne ? 0 : operand.Lines * words;
        return new ProductOperand { X = device.View<float>(scratch, 0, count), Lines = operand.Lines, Line = words, Term = 1 };
    }

    private static ProductOperand Operand(Tensor x, int lines, long line, long term, MatMulPlan shape, Strides strides)
    {
        var view = GpuDevice.View<float>(x, out int first);
        bool isAligned = x.Offset % 4 == 0;
        for (int axis = 0; axis < shape.Batch.Rank; axis++)
            isAligned &= strides[axis] % 4 == 0 || shape.Batch[axis] == 1;
        return new ProductOperand
        {
            X = view,
            Start = first,
            Lines = lines,
            Line = checked((int)line),
            Term = checked((int)term),
            IsVector = isAligned && line == 1 && lines % 4 == 0 && (term % 4 == 0 || shape.Inner == 1) ? 1 : 0,
            IsVectorAlong = isAligned && term == 1 && shape.Inner % 4 == 0 && (line % 4 == 0 || lines == 1) ? 1 : 0,
        };
    }
}

/// <summary>Adds up the pieces of sums in order.</summary>
internal readonly struct ProductPieces : IKernel<ProductPieces.Args>
{
    public static void Run(Args args)
    {
        for (int i = GridStride.First; i < args.Count; i += GridStride.Step)
        {
            float sum = args.Parts[i];
            for (int piece = 1; piece < args.Pieces; piece++)
                sum += args.Parts[(piece * args.Count) + i];
            if (args.HasBias != 0)
                sum += args.Bias[i % args.Columns];
            if (args.Accumulate != 0)
                sum += args.Y[i];
            args.Y[i] = sum;
        }
    }

    internal struct Args
    {
        public ArrayView<float> Parts, Y, Bias;
        public int HasBias, Accumulate, Columns, Pieces, Count;
    }
}
