using ILGPU;

namespace DtoKd.Engine.Gpu;

internal sealed class MatMulGpu : IMatMulKernels
{
    public void Product(Tensor a, Tensor b, Tensor? bias, Tensor y, bool accumulate)
    {
        if (y.Count == 0)
            return;
        var device = (GpuDevice)y.Device;
        var plan = new MatMulPlan(a, b, y);
        var args = new TiledProduct.Args
        {
            A = GpuDevice.View<float>(a),
            B = GpuDevice.View<float>(b),
            Y = GpuDevice.View<float>(y),
            // A view must be valid even where it is not read.
            Bias = GpuDevice.View<float>(bias ?? y),
            HasBias = bias is null ? 0 : 1,
            Accumulate = accumulate ? 1 : 0,
            M = plan.Rows,
            N = plan.Columns,
            K = plan.Inner,
            RowA = checked((int)plan.RowStrideA),
            ColumnA = checked((int)plan.ColumnStrideA),
            RowB = checked((int)plan.RowStrideB),
            ColumnB = checked((int)plan.ColumnStrideB),
            Batch = new Walk(new StridedLoop(plan.Batch, plan.A, plan.B)),
        };
        long tiles = (long)((args.M + TiledProduct.Tile - 1) / TiledProduct.Tile) * ((args.N + TiledProduct.Tile - 1) / TiledProduct.Tile);
        device.Launcher.Launch<TiledProduct, TiledProduct.Args>(tiles * plan.Batch.Count, TiledProduct.Threads, args);
    }
}

/// <summary>
/// A product of any strides: 64 threads for a tile of 32 x 32, 4 x 4 of it each, over slices of 16 of the inner axis that lie in
/// shared memory. Each sum runs in the order of the inner axis.
/// </summary>
internal readonly struct TiledProduct : IKernel<TiledProduct.Args>
{
    public const int Tile = 32;
    public const int Threads = 64;

    private const int Slice = 16;

    // Neighbouring rows of a slice start in different banks.
    private const int Pitch = Tile + 1;

    public static int MaxGroupSize => Threads;

    public static void Run(Args args)
    {
        var left = SharedMemory.Allocate<float>(Slice * Pitch);
        var right = SharedMemory.Allocate<float>(Slice * Pitch);
        int tilesN = (args.N + Tile - 1) / Tile, tilesM = (args.M + Tile - 1) / Tile;
        int block = Grid.IdxX, tile = block / tilesN;
        int batch = tile / tilesM;
        int firstColumn = (block - (tile * tilesN)) * Tile, firstRow = (tile - (batch * tilesM)) * Tile;
        var at = args.Batch.At(batch);
        int thread = Group.IdxX, row = thread / 8 * 4, column = thread % 8 * 4;
        Float4 y0 = default, y1 = default, y2 = default, y3 = default;
        for (int k = 0; k < args.K; k += Slice)
        {
            for (int i = thread; i < Slice * Tile; i += Threads)
            {
                // Neighbouring threads read neighbouring elements, whichever axis they lie along.
                int p = args.ColumnA == 1 ? i % Slice : i / Tile, m = args.ColumnA == 1 ? i / Slice : i % Tile;
                bool inside = firstRow + m < args.M && k + p < args.K;
                left[(p * Pitch) + m] = inside ? args.A[at.A + ((firstRow + m) * args.RowA) + ((k + p) * args.ColumnA)] : 0;
                int q = args.RowB == 1 ? i % Slice : i / Tile, n = args.RowB == 1 ? i / Slice : i % Tile;
                inside = firstColumn + n < args.N && k + q < args.K;
                right[(q * Pitch) + n] = inside ? args.B[at.B + ((k + q) * args.RowB) + ((firstColumn + n) * args.ColumnB)] : 0;
            }

            Group.Barrier();
            for (int p = 0; p < Slice; p++)
            {
                int l = (p * Pitch) + row, r = (p * Pitch) + column;
                var b = new Float4 { X = right[r], Y = right[r + 1], Z = right[r + 2], W = right[r + 3] };
                y0 = Float4.MultiplyAdd(left[l], b, y0);
                y1 = Float4.MultiplyAdd(left[l + 1], b, y1);
                y2 = Float4.MultiplyAdd(left[l + 2], b, y2);
                y3 = Float4.MultiplyAdd(left[l + 3], b, y3);
            }

            Group.Barrier();
        }

        row += firstRow;
        column += firstColumn;
        long first = ((((long)batch * args.M) + row) * args.N) + column;
        StoreRow(args, first, row, column, y0);
        StoreRow(args, first + args.N, row + 1, column, y1);
        StoreRow(args, first + (2L * args.N), row + 2, column, y2);
        StoreRow(args, first + (3L * args.N), row + 3, column, y3);
    }

    private static void StoreRow(Args args, long at, int row, int column, Float4 sum)
    {
        if (row >= args.M)
            return;
        Store(args, at, column, sum.X);
        Store(args, at + 1, column + 1, sum.Y);
        Store(args, at + 2, column + 2, sum.Z);
        Store(args, at + 3, column + 3, sum.W);
    }

    private static void Store(Args args, long at, int column, float sum)
    {
        if (column >= args.N)
            return;
        if (args.HasBias != 0)
            sum += args.Bias[column];
        if (args.Accumulate != 0)
            sum += args.Y[at];
        args.Y[at] = sum;
    }

    internal struct Args
    {
        public ArrayView<float> A, B, Y, Bias;
        public int HasBias, Accumulate, M, N, K, RowA, ColumnA, RowB, ColumnB;

        /// <summary>The batch's offsets in a and b.</summary>
        public Walk Batch;
    }
}
