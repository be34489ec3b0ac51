namespace DtoKd.Engine.Gpu;

/// <summary>A kernel of matrix products.</summary>
/// <param name="Name">As measurements name it: the precision, then rows and columns of a tile.</param>
/// <param name="Precision">Of its factors.</param>
/// <param name="Rows">Rows of a tile.</param>
/// <param name="Columns">Columns of a tile.</param>
/// <param name="SharedBytes">Shared memory of a group beyond what every device has.</param>
/// <param name="PerWord">Terms in a word of an operand.</param>
/// <param name="GroupsEach">Groups that a processor works on at a time.</param>
/// <param name="MultiplyAddsASecond">What an H200 does where tiles fill it.</param>
/// <param name="Launch">Launches it over a number of groups.</param>
/// <param name="Pack">Packs an operand for it; null if it reads any strides.</param>
internal sealed record ProductVariant(
    string Name,
    MatmulPrecision Precision,
    int Rows,
    int Columns,
    int SharedBytes,
    int PerWord,
    int GroupsEach,
    double MultiplyAddsASecond,
    Action<GpuDevice, long, ProductArgs> Launch,
    Action<GpuDevice, PackArgs>? Pack)
{
    /// <summary>All there are.</summary>
    public static IReadOnlyList<ProductVariant> All { get; } =
    [
        Registers<LargeTile>(2, 2.4e13),
        Registers<TallTile>(4, 2.3e13),
        Registers<SmallTile>(4, 1.6e13),
        Tensor<WideTile, Tf32>(MatmulPrecision.High, 1, 1.0e14),
        Tensor<SquareTile, Tf32>(MatmulPrecision.High, 2, 0.9e14),
        Tensor<NarrowTile, Tf32>(MatmulPrecision.High, 4, 0.6e14),
        Tensor<WideTile, Bf16>(MatmulPrecision.Medium, 1, 2.0e14),
        Tensor<SquareTile, Bf16>(MatmulPrecision.Medium, 2, 1.7e14),
        Tensor<NarrowTile, Bf16>(MatmulPrecision.Medium, 4, 1.1e14),
    ];

    /// <summary>Tiles of one result.</summary>
    public long TilesOf(ProductShape shape) => ProductPlan.Tiles(shape.Rows, shape.Columns, Rows, Columns);

    /// <summary>Words of a packed line: whole vectors of four.</summary>
    public int WordsOf(int terms) => (terms + (4 * PerWord) - 1) / (4 * PerWord) * 4;

    private static ProductVariant Registers<TTile>(int groupsEach, double rate)
        where TTile : struct, IProductTile => new(
            $"highest {RegisterProduct<TTile>.Rows}x{RegisterProduct<TTile>.Columns}",
            MatmulPrecision.Highest,
            RegisterProduct<TTile>.Rows,
            RegisterProduct<TTile>.Columns,
            0,
            1,
            groupsEach,
            rate,
            static (device, groups, args) => device.Launcher.Launch<RegisterProduct<TTile>, ProductArgs>(
                groups, RegisterProduct<TTile>.MaxGroupSize, args),
            null);

    private static ProductVariant Tensor<TTile, TNumber>(MatmulPrecision precision, int groupsEach, double rate)
        where TTile : struct, ITensorTile
        where TNumber : struct, ITensorNumber => new(
            $"{precision.ToString().ToLowerInvariant()} {TensorProduct<TTile, TNumber>.Rows}x{TensorProduct<TTile, TNumber>.Columns}",
            precision,
            TensorProduct<TTile, TNumber>.Rows,
            TensorProduct<TTile, TNumber>.Columns,
            TensorProduct<TTile, TNumber>.SharedBytes,
            TNumber.PerWord,
            groupsEach,
            rate,
            static (device, groups, args) => device.Launcher.Launch<TensorProduct<TTile, TNumber>, ProductArgs>(
                groups, TensorProduct<TTile, TNumber>.MaxGroupSize, args),
            PackLines<TNumber>.Launch);
}

/// <summary>The sizes of a product.</summary>
/// <param name="Rows">Rows of each result.</param>
/// <param name="Columns">Columns of each result.</param>
/// <param name="Inner">Terms of a sum.</param>
/// <param name="Count">Results.</param>
internal readonly record struct ProductShape(int Rows, int Columns, int Inner, long Count)
{
    public static ProductShape Of(MatMulPlan plan) => new(plan.Rows, plan.Columns, plan.Inner, plan.Batch.Count);
}

/// <summary>
/// Which kernel computes a product and how it is cut, by its shape alone: all cards give the same numbers. Small results with long
/// sums have them cut into pieces that are computed at the same time and added up in order.
/// </summary>
/// <param name="Variant">The kernel.</param>
/// <param name="Pieces">Pieces of the sums.</param>
/// <param name="PerPiece">Terms in a piece, but for the last.</param>
internal readonly record struct ProductPlan(ProductVariant Variant, int Pieces, int PerPiece)
{
    private const int MostPieces = 64;
    private const int LeastTerms = 256;

    // Whole slices of every kernel.
    private const int PieceUnit = 64;

    // Multiply-adds below which packing for the tensor cores takes longer than the product.
    private const long LeastTensorWork = 1 << 24;
    private const int LeastTensorTerms = 16;

    /// <summary>The plan of a shape in a device's precision: that which should take the least time.</summary>
    public static ProductPlan For(ProductShape shape, GpuDevice device)
    {
        bool isTensor = (long)shape.Rows * shape.Columns * shape.Inner * shape.Count >= LeastTensorWork && shape.Inner >= LeastTensorTerms;
        var precision = isTensor ? device.MatmulPrecision : MatmulPrecision.Highest;
        if (device.ProductPlans.TryGetValue((precision, shape), out var best))
            return best;
        double least = double.PositiveInfinity;
        foreach (var plan in Candidates(shape, precision, device))
        {
            double seconds = plan.Seconds(shape);
            if (seconds < least)
                (best, least) = (plan, seconds);
        }

        device.ProductPlans.Add((precision, shape), best);
        return best;
    }

    /// <summary>All plans of a shape that a device can carry out.</summary>
    public static IEnumerable<ProductPlan> Candidates(ProductShape shape, MatmulPrecision precision, GpuDevice device)
    {
        foreach (var variant in ProductVariant.All)
        {
            if (variant.Precision != precision || variant.SharedBytes > device.MostShared)
                continue;
            int cut = 0;
            for (int pieces = 1; pieces == 1 || (pieces <= MostPieces && pieces * LeastTerms <= shape.Inner); pieces++)
            {
                var plan = InPieces(variant, shape.Inner, pieces);
                if (plan.Pieces != cut)
                    yield return plan;
                cut = plan.Pieces;
            }
        }
    }

    public static long Tiles(int rows, int columns, int tileRows, int tileColumns) =>
        (long)((rows + tileRows - 1) / tileRows) * ((columns + tileColumns - 1) / tileColumns);

    /// <summary>A cut into about as many pieces as are wanted.</summary>
    public static ProductPlan InPieces(ProductVariant variant, int terms, int pieces)
    {
        int units = (terms + PieceUnit - 1) / PieceUnit, each = Math.Max(1, (units + pieces - 1) / pieces);
        return new ProductPlan(variant, Math.Max(1, (units + each - 1) / each), each * PieceUnit);
    }

    /// <summary>
    /// What the product should take on an H200, whatever the card: the rounds of groups that fill its processors, a last one that
    /// does not, and the sums of the pieces.
    /// </summary>
    public double Seconds(ProductShape shape)
    {
        const int Processors = 132;
        // A group's beginning and end, as terms; one group alone is slowed down by its own waits; sums are read and written.
        const int Overhead = 48;
        const double Alone = 1.4, SecondsASum = 2.5e-12, SecondsALaunch = 3e-6;
        long groups = Variant.TilesOf(shape) * shape.Count * Pieces, round = Processors * Variant.GroupsEach;
        double ofGroup = (double)Variant.Rows * Variant.Columns * (Math.Min(PerPiece, shape.Inner) + Overhead)
            * Processors / Variant.MultiplyAddsASecond;
        long last = ((groups % round) + Processors - 1) / Processors;
        double seconds = ofGroup * (groups / round * Variant.GroupsEach);
        if (last > 0)
            seconds += ofGroup * Math.Max(last, Variant.GroupsEach / Alone);
        return Pieces == 1 ? seconds
            : seconds + SecondsALaunch + (SecondsASum * Pieces * shape.Rows * shape.Columns * shape.Count);
    }
}
