namespace DtoKd.Engine.Gpu;

/// <summary>A kernel of matrix products.</summary>
/// <param name="Name">As measurements name it: the precision, then rows and columns of a tile.</param>
/// <param name="Precision">Of its factors.</param>
/// <param name="Rows">Rows of a tile.</param>
/// <param name="Columns">Columns of a tile.</param>
/// <param name="SharedBytes">Shared memory of a group beyond what every device has.</param>
/// <param name="PerWord">Terms in a word of an operand.</param>
/// <param name="GroupsEach">Groups that a processor works on at a time.</param>
/// <param name="MultiplyAddsASecond">
/// On an H200 where tiles fill it: measured for single precision in 128 x 128, guessed from the instructions for the others.
/// </param>
/// <param name="Launch">Launches it over a number of groups.</param>
/// <param name="Pack">Packs an operand for it, so that it lies along; null if it does not take packed ones.</param>
/// <param name="Reads">How an operand has to lie to be read in place; null if any way.</param>
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
    Action<GpuDevice, PackArgs>? Pack,
    OperandLayout? Reads)
{
    /// <summary>What an H200 reads and writes, and what a launch takes.</summary>
    public const double BytesASecond = 4e12, SecondsALaunch = 3e-6;

    /// <summary>All there are.</summary>
    public static IReadOnlyList<ProductVariant> All { get; } =
    [
        Registers<LargeTile>(2, 2.2e13),
        Registers<SmallTile>(4, 1.4e13),
        Tensor<WideTile, Tf32>("high", MatmulPrecision.High, 1, 1.0e14, OperandLayout.Along),
        Tensor<SquareTile, Tf32>("high", MatmulPrecision.High, 2, 0.9e14, OperandLayout.Along),
        Tensor<NarrowTile, Tf32>("high", MatmulPrecision.High, 4, 0.6e14, OperandLayout.Along),
        Tensor<WideTile, AcrossTf32>("high across", MatmulPrecision.High, 1, 0.9e14, OperandLayout.Across),
        Tensor<SquareTile, AcrossTf32>("high across", MatmulPrecision.High, 2, 0.8e14, OperandLayout.Across),
        Tensor<NarrowTile, AcrossTf32>("high across", MatmulPrecision.High, 4, 0.5e14, OperandLayout.Across),
        Tensor<WideTile, Bf16>("medium", MatmulPrecision.Medium, 1, 2.0e14, OperandLayout.Packed),
        Tensor<SquareTile, Bf16>("medium", MatmulPrecision.Medium, 2, 1.7e14, OperandLayout.Packed),
        Tensor<NarrowTile, Bf16>("medium", MatmulPrecision.Medium, 4, 1.1e14, OperandLayout.Packed),
    ];

    /// <summary>Tiles of one result.</summary>
    public long TilesOf(ProductShape shape) => ProductPlan.Tiles(shape.Rows, shape.Columns, Rows, Columns);

    /// <summary>Whether an operand has to be packed.</summary>
    public bool Packs(OperandLayout operand) => Reads is not null && Reads != operand;

    /// <summary>Whether it computes a product of that shape, packing what it has to.</summary>
    public bool Takes(ProductShape shape) => Pack is not null || !(Packs(shape.A) || Packs(shape.B));

    /// <summary>What packing a number of terms should take on an H200.</summary>
    public double PackingSeconds(double terms) => SecondsALaunch + (terms * sizeof(float) * (1 + (1.0 / PerWord)) / BytesASecond);

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
            null,
            null);

    private static ProductVariant Tensor<TTile, TNumber>(
        string name, MatmulPrecision precision, int groupsEach, double rate, OperandLayout reads)
        where TTile : struct, ITensorTile
        where TNumber : struct, ITensorNumber => new(
            $"{name} {TensorProduct<TTile, TNumber>.Rows}x{TensorProduct<TTile, TNumber>.Columns}",
            precision,
            TensorProduct<TTile, TNumber>.Rows,
            TensorProduct<TTile, TNumber>.Columns,
            TensorProduct<TTile, TNumber>.SharedBytes,
            TNumber.PerWord,
            groupsEach,
            rate,
            static (device, groups, args) => device.Launcher.Launch<TensorProduct<TTile, TNumber>, ProductArgs>(
                groups, TensorProduct<TTile, TNumber>.MaxGroupSize, args),
            TNumber.IsAcross ? null : PackLines<TNumber>.Launch,
            reads);
}

/// <summary>How an operand's matrices lie in memory.</summary>
internal enum OperandLayout
{
    /// <summary>In any way.</summary>
    Strided,

    /// <summary>Neighbouring terms of a sum are neighbours, in whole vectors.</summary>
    Along,

    /// <summary>Neighbouring lines are neighbours, in whole vectors.</summary>
    Across,

    /// <summary>As <see cref="PackLines{TNumber}"/> packs them.</summary>
    Packed,
}

/// <summary>The sizes of a product, and how its operands lie.</summary>
/// <param name="Rows">Rows of each result.</param>
/// <param name="Columns">Columns of each result.</param>
/// <param name="Inner">Terms of a sum.</param>
/// <param name="Count">Results.</param>
/// <param name="A">The left operand.</param>
/// <param name="B">The right one.</param>
internal readonly record struct ProductShape(int Rows, int Columns, int Inner, long Count, OperandLayout A, OperandLayout B);

/// <summary>
/// Which kernel computes a product and how it is cut, by its shape alone: all cards give the same numbers. Small results with long
/// sums have them cut into pieces that are computed at the same time and added up in order.
/// </summary>
/// <param name="Variant">The kernel.</param>
/// <param name="Pieces">Pieces of the sums.</param>
/// <param name="PerPiece">Terms in a piece, but for the last.</param>
internal readonly record struct ProductPlan(ProductVariant Variant, int Pieces, int PerPiece)
{
    /// <summary>Into how many pieces sums are cut at most.</summary>
    public const int MostPieces = 64;

    private const int LeastTerms = 256;

    // Whole slices of every kernel.
    private const int PieceUnit = 64;

    /// <summary>The plan of a shape that should take the least time, in a device's precision or a higher one.</summary>
    public static ProductPlan For(ProductShape shape, GpuDevice device)
    {
        var precision = device.MatmulPrecision;
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
        // Kernels count the sums of all pieces.
        long most = Math.Min(MostPieces, int.MaxValue / Math.Max(1, (long)shape.Rows * shape.Columns * shape.Count));
        foreach (var variant in ProductVariant.All)
        {
            if (variant.Precision > precision || variant.SharedBytes > device.MostShared || !variant.Takes(shape))
                continue;
            int cut = 0;
            for (int pieces = 1; pieces == 1 || (pieces <= most && pieces * LeastTerms <= shape.Inner); pieces++)
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
    /// What the product should take on an H200, whatever the card: packing, the rounds of groups that fill its processors, a last one
    /// that does not, or the memory if that takes longer, and the sums of the pieces.
    /// </summary>
    public double Seconds(ProductShape shape)
    {
        const int Processors = 132;
        // A group's beginning and end, as terms; a group alone is slowed down by its own waits.
        const int Overhead = 48;
        const double Alone = 1.4;
        long groups = Variant.TilesOf(shape) * shape.Count * Pieces, round = Processors * Variant.GroupsEach;
        double ofGroup = (double)Variant.Rows * Variant.Columns * (Math.Min(PerPiece, shape.Inner) + Overhead)
            * Processors / Variant.MultiplyAddsASecond;
        long last = ((groups % round) + Processors - 1) / Processors;
        double computing = ofGroup * (groups / round * Variant.GroupsEach);
        if (last > 0)
            computing += ofGroup * Math.Max(last, Variant.GroupsEach / Alone);

        double a = (double)shape.Rows * shape.Inner * shape.Count, b = (double)shape.Columns * shape.Inner * shape.Count;
        double y = (double)shape.Rows * shape.Columns * shape.Count, word = sizeof(float);
        double moved = ((a + b) * word / Variant.PerWord) + (y * word);
        double seconds = Math.Max(computing, moved / ProductVariant.BytesASecond);
        if (Variant.Packs(shape.A))
            seconds += Variant.PackingSeconds(a);
        if (Variant.Packs(shape.B))
            seconds += Variant.PackingSeconds(b);
        // Each piece is written and read.
        return Pieces == 1 ? seconds : seconds + ProductVariant.SecondsALaunch + (2 * Pieces * y * word / ProductVariant.BytesASecond);
    }
}
