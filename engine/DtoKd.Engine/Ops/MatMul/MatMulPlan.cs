namespace DtoKd.Engine;

/// <summary>
/// How a broadcast product of strided tensors becomes a batch of products of matrices: leading axes along which b is broadcast
/// join the rows where a's strides allow, so that a batch times one matrix is one product; the axes that remain are the batch.
/// </summary>
internal readonly struct MatMulPlan
{
    public MatMulPlan(Tensor a, Tensor b, Tensor y)
    {
        Columns = y.Shape[^1];
        Inner = a.Shape[^1];
        A = a.Strides.BroadcastTo(a.Shape, y.Shape.With(-1, Inner));
        B = b.Strides.BroadcastTo(b.Shape, y.Shape.With(-2, Inner));
        int column = y.Shape.Rank - 1, row = column - 1;
        long rows = y.Shape[^2], rowStride = A[row];
        int batchAxes = row;
        for (; batchAxes > 0; batchAxes--)
        {
            int axis = batchAxes - 1, size = y.Shape[axis];
            if (size == 1)
                continue;
            if (B[axis] != 0 || (rows > 1 && A[axis] != rowStride * rows))
                break;
            if (rows == 1)
                rowStride = A[axis];
            rows *= size;
        }

        Rows = checked((int)rows);
        RowStrideA = rowStride;
        ColumnStrideA = A[column];
        RowStrideB = B[row];
        ColumnStrideB = B[column];
        Span<int> sizes = stackalloc int[y.Shape.Rank];
        y.Shape.CopyTo(sizes);
        Batch = new Shape(sizes[..batchAxes]);
    }

    /// <summary>Rows of each product.</summary>
    public int Rows { get; }

    /// <summary>Columns of each product.</summary>
    public int Columns { get; }

    /// <summary>The length of the sums.</summary>
    public int Inner { get; }

    /// <summary>The distance of neighbouring rows of a.</summary>
    public long RowStrideA { get; }

    public long ColumnStrideA { get; }

    public long RowStrideB { get; }

    public long ColumnStrideB { get; }

    /// <summary>The axes over which products repeat; their strides are the first of <see cref="A"/> and <see cref="B"/>.</summary>
    public Shape Batch { get; }

    public Strides A { get; }

    public Strides B { get; }
}
