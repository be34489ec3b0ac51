using ILGPU;

namespace DtoKd.Engine.Gpu;

internal sealed class MatMulGpu : IMatMulKernels
{
    public void Product(Tensor a, Tensor b, Tensor? bias, Tensor y, bool accumulate)
    {
        if (y.Count == 0)
            return;
        var plan = new MatMulPlan(a, b, y);
        Run(a, b, bias, y, accumulate, plan, ProductPlan.For(plan));
    }

    /// <summary>A product with a given choice of kernel and cut.</summary>
    internal static void Run(Tensor a, Tensor b, Tensor? bias, Tensor y, bool accumulate, MatMulPlan plan, ProductPlan choice)
    {
        var device = (GpuDevice)y.Device;
        var args = new ProductArgs
        {
            A = Operand(a, plan.Rows, plan.RowStrideA, plan.ColumnStrideA, plan.Inner, plan, plan.A),
            B = Operand(b, plan.Columns, plan.ColumnStrideB, plan.RowStrideB, plan.Inner, plan, plan.B),
            Y = GpuDevice.View<float>(y),
            // A view must be valid even where it is not read.
            Bias = GpuDevice.View<float>(bias ?? y),
            HasBias = bias is null ? 0 : 1,
            Accumulate = accumulate ? 1 : 0,
            IsVectorY = plan.Columns % 4 == 0 && y.Offset % 4 == 0 ? 1 : 0,
            M = plan.Rows,
            N = plan.Columns,
            K = plan.Inner,
            Pieces = choice.Pieces,
            PerPiece = choice.PerPiece,
            Batch = new Walk(new StridedLoop(plan.Batch, plan.A, plan.B)),
        };
        // A product of no terms reads nothing.
        if (plan.Inner == 0)
            args.A = args.B = new ProductOperand { X = args.Y, Lines = 1 };
        if (choice.Pieces == 1)
        {
            Launch(device, choice, args);
            return;
        }

        long count = y.Count;
        var sums = new Storage(device.Pool, count * choice.Pieces * sizeof(float), "matmul");
        var whole = new ProductPieces.Args
        {
            Parts = device.View<float>(sums, 0, count * choice.Pieces),
            Y = args.Y,
            Bias = args.Bias,
            HasBias = args.HasBias,
            Accumulate = args.Accumulate,
            Columns = plan.Columns,
            Pieces = choice.Pieces,
            Count = (int)count,
        };
        (args.Y, args.HasBias, args.Accumulate, args.IsVectorY) = (whole.Parts, 0, 0, plan.Columns % 4 == 0 ? 1 : 0);
        Launch(device, choice, args);
        GridStride.Launch<ProductPieces, ProductPieces.Args>(device, count, whole);
        sums.Release();
    }

    private static void Launch(GpuDevice device, ProductPlan choice, in ProductArgs args)
    {
        if (choice.IsLarge)
            Launch<LargeTile>(device, args);
        else
            Launch<SmallTile>(device, args);
    }

    private static void Launch<TTile>(GpuDevice device, in ProductArgs args)
        where TTile : struct, IProductTile
    {
        long tiles = ProductPlan.Tiles(args.M, args.N, RegisterProduct<TTile>.Rows, RegisterProduct<TTile>.Columns);
        device.Launcher.Launch<RegisterProduct<TTile>, ProductArgs>(
            tiles * args.Batch.Count * args.Pieces, RegisterProduct<TTile>.MaxGroupSize, args);
    }

    private static ProductOperand Operand(Tensor x, int lines, long line, long term, int terms, MatMulPlan plan, Strides strides)
    {
        var view = GpuDevice.View<float>(x, out int first);
        bool isVector = line == 1 && lines % 4 == 0 && x.Offset % 4 == 0 && (term % 4 == 0 || terms == 1);
        for (int axis = 0; axis < plan.Batch.Rank; axis++)
            isVector &= strides[axis] % 4 == 0 || plan.Batch[axis] == 1;
        return new ProductOperand
        {
            X = view,
            Start = first,
            Lines = lines,
            Line = checked((int)line),
            Term = checked((int)term),
            IsVector = isVector ? 1 : 0,
        };
    }
}

/// <summary>
/// How a product is cut, by its shape alone: the same numbers on every card. Small results with long sums have them cut
/// into pieces that are computed at the same time and added up in order.
/// </summary>
/// <param name="IsLarge">Whether in tiles of 128 x 128, else of 64 x 64.</param>
/// <param name="Pieces">Pieces of the sums.</param>
/// <param name="PerPiece">Terms in a piece, but for the last.</param>
internal readonly record struct ProductPlan(bool IsLarge, int Pieces, int PerPiece)
{
    // Two groups for each of the 132 processors of the largest card so far, and a piece long enough to pay for its sum.
    private const int EnoughGroups = 256;
    private const int LeastTerms = 256;

    // Whole slices of every kernel.
    private const int PieceUnit = 64;

    public static ProductPlan For(MatMulPlan plan)
    {
        long large = Tiles(plan.Rows, plan.Columns, 128, 128) * plan.Batch.Count;
        if (plan.Rows > 64 && plan.Columns > 64)
        {
            var cut = Cut(isLarge: true, large, plan.Inner);
            if (cut.Pieces * large >= EnoughGroups / 2)
                return cut;
        }

        return Cut(isLarge: false, Tiles(plan.Rows, plan.Columns, 64, 64) * plan.Batch.Count, plan.Inner);
    }

    public static long Tiles(int rows, int columns, int tileRows, int tileColumns) =>
        (long)((rows + tileRows - 1) / tileRows) * ((columns + tileColumns - 1) / tileColumns);

    /// <summary>A cut into about as many pieces as are wanted.</summary>
    public static ProductPlan InPieces(bool isLarge, int terms, int pieces)
    {
        int units = (terms + PieceUnit - 1) / PieceUnit, each = Math.Max(1, (units + pieces - 1) / pieces);
        return new ProductPlan(isLarge, Math.Max(1, (units + each - 1) / each), each * PieceUnit);
    }

    private static ProductPlan Cut(bool isLarge, long groups, int terms) =>
        InPieces(isLarge, terms, (int)Math.Clamp(EnoughGroups / groups, 1, Math.Max(1, terms / LeastTerms)));
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
