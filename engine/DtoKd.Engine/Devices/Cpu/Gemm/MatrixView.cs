namespace DtoKd.Engine.Cpu;

/// <summary>A matrix in somebody else's memory: element (i, j) is <c>Data[i * RowStride + j * ColumnStride]</c>.</summary>
/// <remarks>Along K it may lie in runs: then step k is at <c>k / RunLength * RunStride + k % RunLength * stride</c>.</remarks>
/// <param name="data">Element (0, 0).</param>
/// <param name="rowStride">Elements from one row to the next.</param>
/// <param name="columnStride">Elements from one column to the next.</param>
internal readonly unsafe struct MatrixView(float* data, long rowStride, long columnStride = 1)
{
    /// <summary>Element (0, 0).</summary>
    public float* Data { get; } = data;

    /// <summary>Elements from one row to the next.</summary>
    public long RowStride { get; } = rowStride;

    /// <summary>Elements from one column to the next.</summary>
    public long ColumnStride { get; } = columnStride;

    /// <summary>Steps along K that lie evenly spaced, as the pixels of one image; 0 if all do.</summary>
    public int RunLength { get; init; }

    /// <summary>Elements from one such run to the next.</summary>
    public long RunStride { get; init; }

    /// <summary>The same memory with rows and columns exchanged.</summary>
    public MatrixView Transposed => new(Data, ColumnStride, RowStride) { RunLength = RunLength, RunStride = RunStride };

    /// <summary>The same strides, starting <paramref name="elements"/> further on.</summary>
    public MatrixView Offset(long elements) => new(Data + elements, RowStride, ColumnStride) { RunLength = RunLength, RunStride = RunStride };
}
