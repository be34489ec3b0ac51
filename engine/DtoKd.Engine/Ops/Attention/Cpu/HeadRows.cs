using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;
using DtoKd.Engine.Cpu;

namespace DtoKd.Engine;

/// <summary>The rows of one head's queries, keys, values or results, where the tensor has them.</summary>
/// <param name="first">Row 0 of the tensor.</param>
/// <param name="stride">Elements from one row to the next.</param>
/// <param name="columnStride">Elements from one column to the next.</param>
internal readonly unsafe struct HeadRows(float* first, long stride, long columnStride)
{
    private float* At(int row) => first + (row * stride);

    /// <summary>Asks for a row: rows are short and far apart, which is more than the processor's own prefetcher foresees.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Prefetch(int row, int columns)
    {
        const int LineElements = Pool.Alignment / sizeof(float);
        if (!Sse.IsSupported || first == null)
            return;
        float* start = At(row);
        for (int j = 0; j < columns; j += LineElements)
            Sse.Prefetch1(start + j);
    }

    /// <summary>Copies rows times a factor to rows of whole vectors, filled up with zeros.</summary>
    public void Load<V>(int row, int rows, int columns, float factor, float* target, int targetStride)
        where V : unmanaged, IFloatLane<V>
    {
        var f = V.Broadcast(factor);
        for (int i = 0; i < rows; i++, target += targetStride)
        {
            float* source = At(row + i);
            if (columnStride == 1)
            {
                for (int j = 0; j < columns; j += V.Width)
                    V.Store(LaneRow.Load<V>(source + j, columns - j) * f, target + j);
                continue;
            }

            for (int j = 0; j < targetStride; j++)
                target[j] = j < columns ? source[j * columnStride] * factor : 0;
        }
    }

    /// <summary>Writes, or adds, rows times a factor; columns are contiguous.</summary>
    public void Store<V>(int row, int rows, int columns, float factor, float* source, int sourceStride, bool accumulate)
        where V : unmanaged, IFloatLane<V>
    {
        for (int i = 0; i < rows; i++, source += sourceStride)
            StoreRow<V>(row + i, columns, factor, source, accumulate);
    }

    /// <summary>Writes, or adds, one row times a factor; columns are contiguous.</summary>
    public void StoreRow<V>(int row, int columns, float factor, float* source, bool accumulate = false)
        where V : unmanaged, IFloatLane<V>
    {
        var f = V.Broadcast(factor);
        float* target = At(row);
        for (int j = 0; j < columns; j += V.Width)
        {
            var value = V.Load(source + j) * f;
            if (accumulate)
                value += LaneRow.Load<V>(target + j, columns - j);
            LaneRow.Store(value, target + j, columns - j);
        }
    }
}

/// <summary>The rows of one head.</summary>
/// <param name="Queries">Its queries.</param>
/// <param name="Keys">Its keys.</param>
/// <param name="Values">Its values.</param>
/// <param name="Results">Its results, or their gradients.</param>
internal readonly record struct HeadInputs(HeadRows Queries, HeadRows Keys, HeadRows Values, HeadRows Results)
{
    /// <summary>Asks for row i of everything.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Prefetch(int row, HeadSizes sizes)
    {
        Queries.Prefetch(row, sizes.Depth);
        Results.Prefetch(row, sizes.Width);
        if (row >= sizes.Keys)
            return;
        Keys.Prefetch(row, sizes.Depth);
        Values.Prefetch(row, sizes.Width);
    }
}

/// <summary>What is added to the scores of one head.</summary>
internal unsafe struct ScoreTerms
{
    /// <summary>One number for each query and key, or null.</summary>
    public float* Bias;

    /// <summary>Elements from the bias of one query to the next.</summary>
    public long BiasRow;

    /// <summary>Elements from the bias of one key to the next.</summary>
    public long BiasColumn;

    /// <summary>Where a query may attend to a key, or null for everywhere.</summary>
    public bool* Mask;

    /// <summary>Elements from the mask of one query to the next.</summary>
    public long MaskRow;

    /// <summary>Elements from the mask of one key to the next.</summary>
    public long MaskColumn;

    /// <summary>Adds the terms to a row of scores, writes minus infinity behind its end, and returns the largest scores.</summary>
    public readonly V Add<V>(float* row, int query, int keys)
        where V : unmanaged, IFloatLane<V>
    {
        float* bias = Bias == null ? null : Bias + (query * BiasRow);
        if (bias != null && BiasColumn != 1)
        {
            for (int i = 0; i < keys; i++)
                row[i] += bias[i * BiasColumn];
            bias = null;
        }

        if (Mask != null)
        {
            bool* mask = Mask + (query * MaskRow);
            for (int i = 0; i < keys; i++)
            {
                if (!mask[i * MaskColumn])
                    row[i] = float.NegativeInfinity;
            }
        }

        V max = V.Of(double.NegativeInfinity);
        for (int i = 0; i < keys; i += V.Width)
        {
            int left = keys - i;
            var score = LaneRow.Load<V>(row + i, left, float.NegativeInfinity);
            if (bias != null)
                score += LaneRow.Load<V>(bias + i, left);
            V.Store(score, row + i);
            // A NaN may get lost here; it comes back with the sum of the exponentials.
            max = V.Larger(max, score);
        }

        return max;
    }
}
