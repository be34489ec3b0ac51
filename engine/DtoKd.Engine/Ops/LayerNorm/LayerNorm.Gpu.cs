using ILGPU;

namespace DtoKd.Engine.Gpu;

/// <summary>
/// A team of threads for each row, which comes from memory once. The gradients of weight and bias are sums over columns, in
/// pieces of <see cref="PieceRows"/> rows whose results are added in order.
/// </summary>
internal sealed class LayerNormGpu : ILayerNormKernels
{
    private const int PieceRows = 128;

    public void Forward(
        Tensor x, Tensor? weight, Tensor? bias, Tensor y, Tensor mean, Tensor rstd, long rows, long length, double eps)
    {
        var args = new LayerNormForwardArgs
        {
            X = GpuDevice.View<float>(x),
            // A view must be valid even where it is not read.
            Weight = GpuDevice.View<float>(weight ?? x),
            Bias = GpuDevice.View<float>(bias ?? x),
            Y = GpuDevice.View<float>(y),
            Mean = GpuDevice.View<float>(mean),
            Rstd = GpuDevice.View<float>(rstd),
            HasWeight = weight is null ? 0 : 1,
            HasBias = bias is null ? 0 : 1,
            Rows = checked((int)rows),
            Length = checked((int)length),
            Eps = (float)eps,
        };
        RowTeam.Launch<LayerNormForward<WarpOfRow>, LayerNormForward<GroupOfRow>, LayerNormForwardArgs>(
            (GpuDevice)y.Device, rows, length, args);
    }

    public void Backward(
        Step step,
        Tensor dy,
        Tensor x,
        Tensor? weight,
        Tensor mean,
        Tensor rstd,
        GradTarget? dx,
        GradTarget? dweight,
        GradTarget? dbias,
        long rows,
        long length)
    {
        var device = (GpuDevice)dy.Device;
        var args = new LayerNormBackwardArgs
        {
            Dy = GpuDevice.View<float>(dy),
            X = GpuDevice.View<float>(x),
            Weight = GpuDevice.View<float>(weight ?? x),
            Mean = GpuDevice.View<float>(mean),
            Rstd = GpuDevice.View<float>(rstd),
            Dx = GpuDevice.View<float>(dx?.Tensor ?? x),
            HasWeight = weight is null ? 0 : 1,
            Accumulate = dx is { Accumulate: true } ? 1 : 0,
            Rows = checked((int)rows),
            Length = checked((int)length),
        };
        if (dx is not null)
        {
            RowTeam.Launch<LayerNormInput<WarpOfRow>, LayerNormInput<GroupOfRow>, LayerNormBackwardArgs>(
                device, rows, length, args);
        }

        if (length > 0 && (dweight is not null || dbias is not null))
            Parameters(device, args, dweight, dbias);
    }

    private static void Parameters(GpuDevice device, LayerNormBackwardArgs args, GradTarget? dweight, GradTarget? dbias)
    {
        // Without rows the sums are 0: one piece of nothing.
        int pieces = Math.Max(1, (args.Rows + PieceRows - 1) / PieceRows), strips = (args.Length + RowTeam.WarpSize - 1) / RowTeam.WarpSize;
        long count = (long)pieces * args.Length;
        var scratch = device.Pool.Rent(2 * count * sizeof(float), "layer_norm");
        ArrayView<float> weight = device.View<float>(scratch, 0, count), bias = device.View<float>(scratch, count, count);
        device.Launcher.Launch<LayerNormPieces, LayerNormPieces.Args>(
            (long)pieces * strips, device.GroupSize, new() { Of = args, Weight = weight, Bias = bias, PieceRows = PieceRows });
        Total(weight, dweight);
        Total(bias, dbias);
        scratch.Release();

        void Total(ArrayView<float> sums, GradTarget? target)
        {
            if (target is not { } t)
                return;
            device.Launcher.Launch<LayerNormTotal, LayerNormTotal.Args>(strips, device.GroupSize, new()
            {
                Sums = sums,
                Target = GpuDevice.View<float>(t.Tensor),
                Pieces = pieces,
                Columns = args.Length,
                Accumulate = t.Accumulate ? 1 : 0,
            });
        }
    }
}

internal struct LayerNormForwardArgs
{
    public ArrayView<float> X, Weight, Bias, Y, Mean, Rstd;
    public int HasWeight, HasBias, Rows, Length;
    public float Eps;
}

internal struct LayerNormBackwardArgs
{
    public ArrayView<float> Dy, X, Weight, Mean, Rstd, Dx;
    public int HasWeight, Accumulate, Rows, Length;
}

internal readonly struct LayerNormForward<TTeam> : IKernel<LayerNormForwardArgs>
    where TTeam : struct, IRowTeam
{
    public static void Run(LayerNormForwardArgs args)
    {
        int row = TTeam.Row, start = row * args.Length, length = row < args.Rows ? args.Length : 0;
        float sum = 0, squares = 0;
        for (int i = TTeam.Rank; i < length; i += TTeam.Size)
            sum += args.X[start + i];
        float mean = TTeam.Fold<SumOf>(sum) / args.Length;
        for (int i = TTeam.Rank; i < length; i += TTeam.Size)
        {
            float centred = args.X[start + i] - mean;
            squares = Ptx.Fma(centred, centred, squares);
        }

        float rstd = 1 / Ptx.Sqrt((TTeam.Fold<SumOf>(squares) / args.Length) + args.Eps);
        for (int i = TTeam.Rank; i < length; i += TTeam.Size)
        {
            float weight = args.HasWeight != 0 ? args.Weight[i] : 1, bias = args.HasBias != 0 ? args.Bias[i] : 0;
            args.Y[start + i] = Ptx.Fma((args.X[start + i] - mean) * rstd, weight, bias);
        }

        if (row < args.Rows && TTeam.Rank == 0)
        {
            args.Mean[row] = mean;
            args.Rstd[row] = rstd;
        }
    }
}

/// <summary>dx = rstd (g - mean(g) - h mean(g h)) with g = dy weight and h = (x - mean) rstd.</summary>
internal readonly struct LayerNormInput<TTeam> : IKernel<LayerNormBackwardArgs>
    where TTeam : struct, IRowTeam
{
    public static void Run(LayerNormBackwardArgs args)
    {
        int row = TTeam.Row, start = row * args.Length, length = row < args.Rows ? args.Length : 0;
        float mean = 0, rstd = 0, sum = 0, product = 0;
        if (row < args.Rows)
        {
            mean = args.Mean[row];
            rstd = args.Rstd[row];
        }

        for (int i = TTeam.Rank; i < length; i += TTeam.Size)
        {
            float g = args.Dy[start + i] * (args.HasWeight != 0 ? args.Weight[i] : 1);
            sum += g;
            product = Ptx.Fma(g, (args.X[start + i] - mean) * rstd, product);
        }

        sum = TTeam.Fold<SumOf>(sum) / args.Length;
        product = TTeam.Fold<SumOf>(product) / args.Length;
        for (int i = TTeam.Rank; i < length; i += TTeam.Size)
        {
            float g = args.Dy[start + i] * (args.HasWeight != 0 ? args.Weight[i] : 1);
            float h = (args.X[start + i] - mean) * rstd;
            float d = rstd * (g - sum - (h * product));
            args.Dx[start + i] = args.Accumulate != 0 ? args.Dx[start + i] + d : d;
        }
    }
}

/// <summary>
/// Sums over a piece of rows of dy h and dy: a group for the piece and 32 columns, whose warps take every so many rows.
/// </summary>
internal readonly struct LayerNormPieces : IKernel<LayerNormPieces.Args>
{
    public static void Run(Args args)
    {
        var of = args.Of;
        int strips = (of.Length + RowTeam.WarpSize - 1) / RowTeam.WarpSize, piece = Grid.IdxX / strips;
        int column = ((Grid.IdxX - (piece * strips)) * RowTeam.WarpSize) + (Group.IdxX % RowTeam.WarpSize);
        int end = IntrinsicMath.Min((piece + 1) * args.PieceRows, of.Rows);
        float weight = 0, bias = 0;
        if (column < of.Length)
        {
            int warps = Group.DimX / RowTeam.WarpSize;
            for (int row = (piece * args.PieceRows) + (Group.IdxX / RowTeam.WarpSize); row < end; row += warps)
            {
                float dy = of.Dy[(row * of.Length) + column];
                weight = Ptx.Fma(dy, (of.X[(row * of.Length) + column] - of.Mean[row]) * of.Rstd[row], weight);
                bias += dy;
            }
        }

        weight = GroupFold.SumOfWarps(weight);
        bias = GroupFold.SumOfWarps(bias);
        if (Group.IdxX < RowTeam.WarpSize && column < of.Length)
        {
            args.Weight[(piece * of.Length) + column] = weight;
            args.Bias[(piece * of.Length) + column] = bias;
        }
    }

    internal struct Args
    {
        public LayerNormBackwardArgs Of;
        public ArrayView<float> Weight, Bias;
        public int PieceRows;
    }
}

/// <summary>Adds up the pieces: a group for 32 columns, whose warps take every so many pieces.</summary>
internal readonly struct LayerNormTotal : IKernel<LayerNormTotal.Args>
{
    public static void Run(Args args)
    {
        int column = (Grid.IdxX * RowTeam.WarpSize) + (Group.IdxX % RowTeam.WarpSize), warps = Group.DimX / RowTeam.WarpSize;
        float sum = 0;
        if (column < args.Columns)
        {
            for (int piece = Group.IdxX / RowTeam.WarpSize; piece < args.Pieces; piece += warps)
                sum += args.Sums[(piece * args.Columns) + column];
        }

        sum = GroupFold.SumOfWarps(sum);
        if (Group.IdxX < RowTeam.WarpSize && column < args.Columns)
            args.Target[column] = args.Accumulate != 0 ? args.Target[column] + sum : sum;
    }

    internal struct Args
    {
        public ArrayView<float> Sums, Target;
        public int Pieces, Columns, Accumulate;
    }
}
