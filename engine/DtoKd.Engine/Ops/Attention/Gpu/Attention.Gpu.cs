namespace DtoKd.Engine.Gpu;

/// <summary>
/// Attention by tiles of scores that live in registers, on the tensor cores where the device's precision lets them. Backward, the
/// probabilities are computed again: once for the gradients of the queries, once for those of keys and values, once for the bias if
/// it wants one, always in single precision. Each result is summed by one group in a fixed order.
/// </summary>
internal sealed class AttentionGpu : IAttentionKernels
{
    public void Forward(AttentionInputs x, Tensor y, Tensor rows)
    {
        if (rows.Count == 0)
            return;
        var device = (GpuDevice)y.Device;
        var args = Arguments(x, y, rows);
        switch (TensorPrecision(device, x, y))
        {
            case MatmulPrecision.Medium:
                ForwardOfWarps<AttentionBf16>(device, x.Items, args);
                break;
            case MatmulPrecision.High:
                ForwardOfWarps<AttentionTf32>(device, x.Items, args);
                break;
            default:
                if (args.Depth <= Tile8.Side && args.Width <= Tile8.Side)
                    Forward<Tile8>(device, x.Items, args);
                else
                    Forward<Tile16>(device, x.Items, args);
                break;
        }
    }

    public void Backward(
        AttentionInputs x, Tensor? y, Tensor rows, Tensor dy, GradTarget? dq, GradTarget? dk, GradTarget? dv, BiasSums? dBias)
    {
        var device = (GpuDevice)x.Q.Device;
        if (x.Items == 0 || x.Scores[^2] == 0 || x.Scores[^1] == 0)
        {
            // Nothing attends to anything: what is not added to is zero.
            foreach (var target in new[] { dq, dk, dv })
            {
                if (target is { Accumulate: false } fresh)
                    fresh.Tensor.Fill(0);
            }

            dBias?.Sums.Clear();
            return;
        }

        var args = Arguments(x, dy, rows);
        (args.Dq, args.Dk, args.Dv) = (Target(dq, dy), Target(dk, dy), Target(dv, dy));
        args.Targets = new Walk(new StridedLoop(Leading(x.Q), StridesOf(dq?.Tensor), StridesOf(dk?.Tensor), StridesOf(dv?.Tensor)));
        args.Result = Operand(y!);
        args.Terms = Terms(x, rows, y);
        var means = device.Pool.Rent(rows.Count / 2 * sizeof(float), "attention");
        args.Means = device.View<float>(means, 0, rows.Count / 2);
        int warps = device.GroupSize / RowTeam.WarpSize;
        device.Launcher.Launch<AttentionMeans, AttentionArgs>(((rows.Count / 2) + warps - 1) / warps, device.GroupSize, args);
        bool isSmall = args.Depth <= Tile8.Side && args.Width <= Tile8.Side;
        switch (TensorPrecision(device, x, dy, dq?.Tensor, dk?.Tensor, dv?.Tensor))
        {
            case MatmulPrecision.Medium:
                BackwardOfWarps<AttentionBf16>(device, x.Items, args);
                break;
            case MatmulPrecision.High:
                BackwardOfWarps<AttentionTf32>(device, x.Items, args);
                break;
            default:
                if (isSmall)
                    Backward<Tile8>(device, x.Items, args);
                else
                    Backward<Tile16>(device, x.Items, args);
                break;
        }

        if (dBias is not null && isSmall)
            BackwardOfBias<Tile8>(device, args, dBias);
        else if (dBias is not null)
            BackwardOfBias<Tile16>(device, args, dBias);
        means.Release();
    }

    private static void Forward<TTile>(GpuDevice device, long items, AttentionArgs args)
        where TTile : struct, IAttentionTile
    {
        (args.Tiles, args.Parts) = (Tiles<TTile>(args.Queries), Math.Max(1, Tiles<TTile>(args.Width)));
        device.Launcher.Launch<AttentionForward<TTile>, AttentionArgs>(items * args.Tiles * args.Parts, TTile.Threads, args);
    }

    private static void Backward<TTile>(GpuDevice device, long items, AttentionArgs args)
        where TTile : struct, IAttentionTile
    {
        if (args.Dq.IsWanted != 0)
        {
            (args.Tiles, args.Parts) = (Tiles<TTile>(args.Queries), Math.Max(1, Tiles<TTile>(args.Depth)));
            device.Launcher.Launch<AttentionQueries<TTile>, AttentionArgs>(items * args.Tiles * args.Parts, TTile.Threads, args);
        }

        if ((args.Dk.IsWanted | args.Dv.IsWanted) != 0)
        {
            (args.Tiles, args.Parts) = (Tiles<TTile>(args.Keys), Math.Max(1, Tiles<TTile>(Math.Max(args.Depth, args.Width))));
            device.Launcher.Launch<AttentionKeys<TTile>, AttentionArgs>(items * args.Tiles * args.Parts, TTile.Threads, args);
        }
    }

    private static void BackwardOfBias<TTile>(GpuDevice device, AttentionArgs args, BiasSums dBias)
        where TTile : struct, IAttentionTile
    {
        args.BiasSums = GpuDevice.View<float>(dBias.Sums);
        (args.Repeats, args.PerPiece, args.Groups) = (checked((int)dBias.Repeats), checked((int)dBias.PerPiece), dBias.Sums.Shape[1]);
        (args.Tiles, args.Parts) = (Tiles<TTile>(args.Queries), Tiles<TTile>(args.Keys));
        device.Launcher.Launch<AttentionBias<TTile>, AttentionArgs>(
            dBias.Sums.Shape.CountOf(0, 2) * args.Tiles * args.Parts, TTile.Threads, args);
    }

    private static void ForwardOfWarps<TNumber>(GpuDevice device, long items, AttentionArgs args)
        where TNumber : struct, IAttentionNumber
    {
        args.Tiles = TilesOfWarps<TNumber>(args.Queries);
        device.Launcher.Launch<TensorAttentionForward<TNumber>, AttentionArgs>(
            items * args.Tiles, AttentionWarp.Threads, args);
    }

    private static void BackwardOfWarps<TNumber>(GpuDevice device, long items, AttentionArgs args)
        where TNumber : struct, IAttentionNumber
    {
        if (args.Dq.IsWanted != 0)
        {
            args.Tiles = TilesOfWarps<TNumber>(args.Queries);
            device.Launcher.Launch<TensorAttentionQueries<TNumber>, AttentionArgs>(
                items * args.Tiles, AttentionWarp.Threads, args);
        }

        if ((args.Dk.IsWanted | args.Dv.IsWanted) != 0)
        {
            args.Tiles = TilesOfWarps<TNumber>(args.Keys);
            device.Launcher.Launch<TensorAttentionKeys<TNumber>, AttentionArgs>(
                items * args.Tiles, AttentionWarp.Threads, args);
        }
    }

    private static int TilesOfWarps<TNumber>(int length)
        where TNumber : struct, IAttentionNumber => (length + AttentionWarp.Rows - 1) / AttentionWarp.Rows;

    /// <summary>
    /// The device's precision if the tensor cores' kernels take the inputs and all that is written: heads of whole vectors that
    /// are not wider than their tiles. The highest one otherwise, whose kernels take everything.
    /// </summary>
    private static MatmulPrecision TensorPrecision(GpuDevice device, AttentionInputs x, params ReadOnlySpan<Tensor?> others)
    {
        bool fits = x.Q.Shape[^1] <= AttentionWarp.Widest && x.V.Shape[^1] <= AttentionWarp.Widest
            && IsOfVectors(x.Q) && IsOfVectors(x.K) && IsOfVectors(x.V);
        foreach (var other in others)
            fits &= other is null || IsOfVectors(other);
        return fits ? device.MatmulPrecision : MatmulPrecision.Highest;
    }

    private static bool IsOfVectors(Tensor x)
    {
        int last = x.Shape.Rank - 1;
        bool isOfVectors = x.Offset % 4 == 0 && x.Shape[last] % 4 == 0 && x.Strides[last] == 1;
        for (int axis = 0; axis < last; axis++)
            isOfVectors &= x.Strides[axis] % 4 == 0 || x.Shape[axis] == 1;
        return isOfVectors;
    }

    private static int Tiles<TTile>(int length)
        where TTile : struct, IAttentionTile => (length + TTile.Side - 1) / TTile.Side;

    /// <summary>What all kernels read, with y or dy for the result.</summary>
    private static AttentionArgs Arguments(AttentionInputs x, Tensor y, Tensor rows) => new()
    {
        Q = Operand(x.Q),
        K = Operand(x.K),
        V = Operand(x.V),
        Y = Operand(y),
        Rows = Operand(rows),
        Bias = x.Bias is null ? Unread(rows) : Operand(x.Bias),
        Mask = x.Mask is null ? default : GpuDevice.View<byte>(x.Mask),
        MaskRow = x.Mask is null ? 0 : checked((int)x.Mask.Strides[x.Mask.Shape.Rank - 2]),
        MaskColumn = x.Mask is null ? 0 : checked((int)x.Mask.Strides[x.Mask.Shape.Rank - 1]),
        HasMask = x.Mask is null ? 0 : 1,
        HasTerms = x.Mask is null && x.Bias is null ? 0 : 1,
        Scale = (float)x.Scale,
        Queries = x.Scores[^2],
        Keys = x.Scores[^1],
        Depth = x.Q.Shape[^1],
        Width = x.V.Shape[^1],
        Inputs = new Walk(new StridedLoop(Leading(x.Q), x.Q.Strides, x.K.Strides, x.V.Strides, y.Strides)),
        Terms = Terms(x, rows, null),
    };

    private static Walk Terms(AttentionInputs x, Tensor rows, Tensor? y) =>
        new(new StridedLoop(Leading(x.Q), StridesOf(x.Bias), StridesOf(x.Mask), rows.Strides, StridesOf(y)));

    private static Shape Leading(Tensor x) => x.Shape.Without(-1).Without(-1);

    private static Strides StridesOf(Tensor? x) => x?.Strides ?? default;

    private static Matrix Operand(Tensor x) => new()
    {
        X = GpuDevice.View<float>(x),
        Row = checked((int)x.Strides[x.Shape.Rank - 2]),
        Column = checked((int)x.Strides[x.Shape.Rank - 1]),
        IsWanted = 1,
    };

    // A view must be valid even where it is not read.
    private static Matrix Unread(Tensor any) => new() { X = GpuDevice.View<float>(any) };

    private static Matrix Target(GradTarget? target, Tensor any) => target is not { } some
        ? Unread(any)
        : Operand(some.Tensor) with { Accumulate = some.Accumulate ? 1 : 0 };
}

/// <summary>A matrix of a strided stack; where it starts is found by a <see cref="Walk"/>.</summary>
internal struct Matrix
{
    public ILGPU.ArrayView<float> X;
    public int Row, Column, IsWanted, Accumulate;
}

/// <summary>The arguments of all of attention's kernels; the backward ones have dy for y.</summary>
internal struct AttentionArgs
{
    public Matrix Q, K, V, Y, Bias, Rows, Dq, Dk, Dv;

    /// <summary>What the backward kernels have y for.</summary>
    public Matrix Result;
    public ILGPU.ArrayView<byte> Mask;

    /// <summary>The sum of p dp over each row of scores, in the order of the items.</summary>
    public ILGPU.ArrayView<float> Means;
    public ILGPU.ArrayView<float> BiasSums;
    public float Scale;
    public int MaskRow, MaskColumn, HasMask, HasTerms, Queries, Keys, Depth, Width;

    /// <summary>Tiles along the rows of what is computed, and along its columns: a group each.</summary>
    public int Tiles, Parts;
    public int Repeats, PerPiece, Groups;

    /// <summary>Where the matrices of an item start: q, k, v and y; bias, mask, rows and the result; dq, dk and dv.</summary>
    public Walk Inputs, Terms, Targets;
}
