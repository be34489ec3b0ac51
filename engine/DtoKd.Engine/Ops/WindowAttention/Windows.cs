using System.Collections.Concurrent;

namespace DtoKd.Engine;

public static partial class Op
{
    private static readonly ConcurrentDictionary<(int, int), long[]> _relativePositions = [];

    /// <summary>Cuts maps into square windows, row by row.</summary>
    /// <param name="x">[B, H, W, C]; H and W are multiples of the window.</param>
    /// <param name="window">The windows' side.</param>
    /// <returns>[B * H / window * W / window, window * window, C].</returns>
    /// <exception cref="ArgumentException">The windows do not tile the map: pad it first.</exception>
    public static Tensor WindowPartition(Tensor x, int window)
    {
        if (x.Shape.Rank != 4 || window < 1 || x.Shape[1] % window != 0 || x.Shape[2] % window != 0)
        {
            throw new ArgumentException(
                $"window_partition: got {x.Shape} for windows of {window}, expected [B, H, W, C] with H and W multiples of it");
        }

        int b = x.Shape[0], rows = x.Shape[1] / window, columns = x.Shape[2] / window, c = x.Shape[3];
        var tiles = Reshape(x, [b, rows, window, columns, window, c]);
        return Reshape(Permute(tiles, 0, 1, 3, 2, 4, 5), [b * rows * columns, window * window, c]);
    }

    /// <summary>Puts windows together again: the inverse of <see cref="WindowPartition"/>.</summary>
    /// <param name="windows">[B * height / window * width / window, window * window, C].</param>
    /// <param name="window">The windows' side.</param>
    /// <param name="height">The map's height, a multiple of the window.</param>
    /// <param name="width">The map's width, a multiple of the window.</param>
    /// <returns>[B, height, width, C].</returns>
    /// <exception cref="ArgumentException">The windows do not make up maps of that size.</exception>
    public static Tensor WindowReverse(Tensor windows, int window, int height, int width)
    {
        var shape = windows.Shape;
        if (shape.Rank != 3 || window < 1 || height < window || width < window || height % window != 0 || width % window != 0
            || shape[1] != window * window || shape[0] % (height / window * (width / window)) != 0)
        {
            throw new ArgumentException(
                $"window_reverse: {shape} is not made of windows of {window} of maps of {height} x {width}");
        }

        int rows = height / window, columns = width / window, b = shape[0] / (rows * columns), c = shape[2];
        var tiles = Permute(Reshape(windows, [b, rows, columns, window, window, c]), 0, 1, 3, 2, 4, 5);
        return Reshape(tiles, [b, height, width, c]);
    }

    /// <summary>
    /// What is added to the scores in the windows of a map that was rolled by -shift: -100 between places that were not
    /// neighbours before, 0 elsewhere (Liu et al., "Swin Transformer", 2021, section 3.2, as its authors implement it).
    /// </summary>
    /// <param name="step">The step to make it in; the numbers are computed once per size.</param>
    /// <param name="height">The map's height, a multiple of the window.</param>
    /// <param name="width">The map's width, a multiple of the window.</param>
    /// <param name="window">The windows' side.</param>
    /// <param name="shiftDown">How far the map was rolled along its height, 0 .. window - 1.</param>
    /// <param name="shiftRight">How far the map was rolled along its width, 0 .. window - 1.</param>
    /// <param name="dtype">F32 or F64.</param>
    /// <returns>[windows, window * window, window * window].</returns>
    /// <exception cref="ArgumentException">The windows do not tile the map, or a shift is out of range.</exception>
    public static Tensor ShiftMask(
        Step step, int height, int width, int window, int shiftDown, int shiftRight, DType dtype = DType.F32)
    {
        var values = WindowLayout.Of("shift_mask", height, width, window, shiftDown, shiftRight).Mask;
        int tokens = window * window;
        Shape shape = [height * width / tokens, tokens, tokens];
        return dtype == DType.F64 ? step.From(Array.ConvertAll(values, value => (double)value), shape) : step.From(values, shape);
    }

    /// <summary>
    /// For each pair of places in a window the row of the table that holds their bias:
    /// (dy + height - 1) (2 width - 1) + dx + width - 1, with (dy, dx) the query's place minus the key's.
    /// </summary>
    /// <param name="step">The step to make it in.</param>
    /// <param name="height">The window's height.</param>
    /// <param name="width">The window's width.</param>
    /// <returns>I64 [height * width, height * width].</returns>
    /// <exception cref="ArgumentException">The window is empty.</exception>
    public static Tensor RelativePositionIndex(Step step, int height, int width)
    {
        if (height < 1 || width < 1)
            throw new ArgumentException($"relative_position_index: an empty window of {height} x {width}");
        return step.From(RelativePositions(height, width), [height * width, height * width]);
    }

    /// <summary>The numbers of <see cref="RelativePositionIndex"/>, computed once per size.</summary>
    internal static long[] RelativePositions(int height, int width) =>
        _relativePositions.GetOrAdd((height, width), static at => NewRelativePositions(at.Item1, at.Item2));

    /// <summary>The bias of each head for each pair of places in a window.</summary>
    /// <param name="table">[(2 height - 1) (2 width - 1), heads], timm's <c>relative_position_bias_table</c>.</param>
    /// <param name="height">The window's height.</param>
    /// <param name="width">The window's width.</param>
    /// <returns>[heads, height * width, height * width].</returns>
    /// <exception cref="ArgumentException">The table is of another window.</exception>
    public static Tensor RelativePositionBias(Tensor table, int height, int width)
    {
        int rows = ((2 * height) - 1) * ((2 * width) - 1), tokens = height * width;
        if (table.Shape.Rank != 2 || table.Shape[0] != rows)
        {
            throw new ArgumentException(
                $"relative_position_bias: got table {table.Shape} for a window of {height} x {width}, expected [{rows}, heads]");
        }

        var step = Step.Of("relative_position_bias", table);
        var index = Reshape(RelativePositionIndex(step, height, width), [tokens * tokens]);
        return Permute(Reshape(IndexSelect(table, 0, index), [tokens, tokens, table.Shape[1]]), 2, 0, 1);
    }

    /// <summary>
    /// Four neighbouring places joined to one of four times the channels, in the order (0, 0), (1, 0), (0, 1), (1, 1) of (row,
    /// column): what Swin's patch merging does before its norm and linear layer.
    /// </summary>
    /// <param name="x">[B, H, W, C]; an odd side is padded with zeros at its end.</param>
    /// <returns>[B, ceil(H / 2), ceil(W / 2), 4 C].</returns>
    /// <exception cref="ArgumentException">Not four axes.</exception>
    public static Tensor PatchMerging(Tensor x)
    {
        if (x.Shape.Rank != 4)
            throw new ArgumentException($"patch_merging: got {x.Shape}, expected [B, H, W, C]");
        if (x.Shape[1] % 2 != 0 || x.Shape[2] % 2 != 0)
            x = Pad(x, [0, 0, 0, x.Shape[2] % 2, 0, x.Shape[1] % 2]);
        int b = x.Shape[0], h = x.Shape[1] / 2, w = x.Shape[2] / 2, c = x.Shape[3];
        return Reshape(Permute(Reshape(x, [b, h, 2, w, 2, c]), 0, 1, 3, 4, 2, 5), [b, h, w, 4 * c]);
    }

    private static long[] NewRelativePositions(int height, int width)
    {
        int tokens = height * width;
        var index = new long[tokens * tokens];
        for (int i = 0; i < index.Length; i++)
        {
            int query = i / tokens, key = i % tokens;
            int down = (query / width) - (key / width), right = (query % width) - (key % width);
            index[i] = ((down + height - 1) * ((2 * width) - 1)) + right + width - 1;
        }

        return index;
    }
}
