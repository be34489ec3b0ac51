namespace DtoKd.Engine.Gpu;

/// <summary>A kernel of matrix products.</summary>
/// <param name="Name">As measurements name it: the precision, then rows and columns of a tile.</param>
/// <param name="Precision">Of its factors.</param>
/// <param name="Rows">Rows of a tile.</param>
/// <param name="Columns">Columns of a tile.</param>
/// <param name="SharedBytes">Shared memory of a group beyond what every device has.</param>
/// <param name="PerWord">Terms in a word of an operand.</param>
/// <param name="Launch">Launches it over a number of groups.</param>
/// <param name="Pack">Packs an operand for it; null if it reads any strides.</param>
internal sealed record ProductVariant(
    string Name,
    MatmulPrecision Precision,
    int Rows,
    int Columns,
    int SharedBytes,
    int PerWord,
    Action<GpuDevice, long, ProductArgs> Launch,
    Action<GpuDevice, PackArgs>? Pack)
{
    /// <summary>All there are; of one precision the larger tiles first.</summary>
    public static IReadOnlyList<ProductVariant> All { get; } =
    [
        Registers<LargeTile>(),
        Registers<SmallTile>(),
        Tensor<WideTile, Tf32>(MatmulPrecision.High),
        Tensor<SquareTile, Tf32>(MatmulPrecision.High),
        Tensor<NarrowTile, Tf32>(MatmulPrecision.High),
        Tensor<WideTile, Bf16>(MatmulPrecision.Medium),
        Tensor<SquareTile, Bf16>(MatmulPrecision.Medium),
        Tensor<NarrowTile, Bf16>(MatmulPrecision.Medium),
    ];

    /// <summary>Tiles of one result.</summary>
    public long TilesOf(MatMulPlan shape) => ProductPlan.Tiles(shape.Rows, shape.Columns, Rows, Columns);

    /// <summary>Words of a packed line: whole vectors of four.</summary>
    public int WordsOf(int terms) => (terms + (4 * PerWord) - 1) / (4 * PerWord) * 4;

    private static ProductVariant Registers<TTile>()
        where TTile : struct, IProductTile => new(
            $"highest {RegisterProduct<TTile>.Rows}x{RegisterProduct<TTile>.Columns}",
            MatmulPrecision.Highest,
            RegisterProduct<TTile>.Rows,
            RegisterProduct<TTile>.Columns,
            0,
            1,
            static (device, groups, args) => device.Launcher.Launch<RegisterProduct<TTile>, ProductArgs>(
                groups, RegisterProduct<TTile>.MaxGroupSize, args),
            null);

    private static ProductVariant Tensor<TTile, TNumber>(MatmulPrecision precision)
        where TTile : struct, ITensorTile
        where TNumber : struct, ITensorNumber => new(
            $"{precision.ToString().ToLowerInvariant()} {TensorProduct<TTile, TNumber>.Rows}x{TensorProduct<TTile, TNumber>.Columns}",
            precision,
            TensorProduct<TTile, TNumber>.Rows,
            TensorProduct<TTile, TNumber>.Columns,
            TensorProduct<TTile, TNumber>.SharedBytes,
            TNumber.PerWord,
            static (device, groups, args) => device.Launcher.Launch<TensorProduct<TTile, TNumber>, ProductArgs>(
                groups, TensorProduct<TTile, TNumber>.MaxGroupSize, args),
            PackLines<TNumber>.Launch);
}

/// <summary>
/// Which kernel computes a product and how it is cut, by its shape alone: cards of one kind give the same numbers. Small results
/// with long sums have them cut into pieces that are computed at the same time and added up in order.
/// </summary>
/// <param name="Variant">The kernel.</param>
/// <param name="Pieces">Pieces of the sums.</param>
/// <param name="PerPiece">Terms in a piece, but for the last.</param>
internal readonly record struct ProductPlan(ProductVariant Variant, int Pieces, int PerPiece)
{
    // Two groups for each of the 132 processors of the largest card so far, and a piece long enough to pay for its sum.
    private const int EnoughGroups = 256;
    private const int LeastTerms = 256;

    // Whole slices of every kernel.
    private const int PieceUnit = 64;

    // Multiply-adds below which packing for the tensor cores takes longer than the product.
    private const long LeastTensorWork = 1 << 24;
    private const int LeastTensorTerms = 16;

    public static ProductPlan For(MatMulPlan shape, GpuDevice device)
    {
        bool isTensor = (long)shape.Rows * shape.Columns * shape.Inner * shape.Batch.Count >= LeastTensorWork
            && shape.Inner >= LeastTensorTerms;
        var precision = isTensor ? device.MatmulPrecision : MatmulPrecision.Highest;
        ProductPlan plan = default;
        foreach (var variant in ProductVariant.All)
        {
            if (variant.Precision != precision || variant.SharedBytes > device.MostShared)
                continue;
            long groups = variant.TilesOf(shape) * shape.Batch.Count;
            plan = InPieces(
                variant, shape.Inner, (int)Math.Clamp(EnoughGroups / groups, 1, Math.Max(1, shape.Inner / LeastTerms)));
            // More than half of a tile is used, and half of the processors at least have one.
            if (shape.Rows > variant.Rows / 2 && shape.Columns > variant.Columns / 2 && groups * plan.Pieces >= EnoughGroups / 2)
                break;
        }

        return plan;
    }

    public static long Tiles(int rows, int columns, int tileRows, int tileColumns) =>
        (long)((rows + tileRows - 1) / tileRows) * ((columns + tileColumns - 1) / tileColumns);

    /// <summary>A cut into about as many pieces as are wanted.</summary>
    public static ProductPlan InPieces(ProductVariant variant, int terms, int pieces)
    {
        int units = (terms + PieceUnit - 1) / PieceUnit, each = Math.Max(1, (units + pieces - 1) / pieces);
        return new ProductPlan(variant, Math.Max(1, (units + each - 1) / each), each * PieceUnit);
    }
}
