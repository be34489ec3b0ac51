namespace DtoKd.Engine;

/// <summary>What attention reads: equal leading axes everywhere, bias and mask expanded to the shape of the scores.</summary>
internal sealed record AttentionInputs(Tensor Q, Tensor K, Tensor V, Tensor? Bias, Tensor? Mask, double Scale)
{
    public AttentionInputs(string op, Step step, Tensor q, Tensor k, Tensor v, Tensor? bias, Tensor? mask, double? scale)
        : this(q, k, v, bias, mask, scale ?? 1 / Math.Sqrt(q.Shape[^1]))
    {
        if (bias is not null)
            Pointwise.RequireSameType(op, q, bias);
        if (mask is not null && mask.DType != DType.Bool)
            throw new ArgumentException($"{op}: got mask {mask}, expected Bool");
        Bias = bias is null ? null : Expanded(op, "bias", step, bias);
        Mask = mask is null ? null : Expanded(op, "mask", step, mask);
    }

    /// <summary>The shape of the scores, [..., Nq, Nk].</summary>
    public Shape Scores => Q.Shape.With(-1, K.Shape[^2]);

    /// <summary>Products of q k^T and of the probabilities with v.</summary>
    public long MultiplyAdds => Scores.Count * (Q.Shape[^1] + V.Shape[^1]);

    /// <summary>The number of matrices along the leading axes.</summary>
    public long Items => Q.Shape.CountOf(0, Q.Shape.Rank - 2);

    /// <summary>These inputs with a function applied to each tensor.</summary>
    public AttentionInputs Each(Func<Tensor, Tensor> map) =>
        new(map(Q), map(K), map(V), Bias is null ? null : map(Bias), Mask is null ? null : map(Mask), Scale);

    private Tensor Expanded(string op, string name, Step step, Tensor x)
    {
        var shape = Scores;
        if (x.Shape.Rank > shape.Rank || Shape.Broadcast(op, x.Shape, shape) != shape)
            throw new ArgumentException($"{op}: {name} of shape {x.Shape} does not broadcast to the scores {shape}");
        var view = x.View(shape, x.Strides.BroadcastTo(x.Shape, shape), 0, name);
        step.Own(view);
        return view;
    }
}

/// <summary>A strided tensor [..., rows, columns] as matrices counted along its leading axes.</summary>
internal readonly unsafe struct MatrixStack<T>(Tensor x)
    where T : unmanaged
{
    private readonly T* _first = x.Pointer<T>();
    private readonly Shape _shape = x.Shape;
    private readonly Strides _strides = x.Strides;

    /// <summary>Elements from one row to the next.</summary>
    public long RowStride => _strides[_shape.Rank - 2];

    /// <summary>Elements from one column to the next.</summary>
    public long ColumnStride => _strides[_shape.Rank - 1];

    /// <summary>Element (0, 0) of a matrix.</summary>
    public T* At(long item)
    {
        T* first = _first;
        for (int axis = _shape.Rank - 3; axis >= 0; axis--)
        {
            first += item % _shape[axis] * _strides[axis];
            item /= _shape[axis];
        }

        return first;
    }

    /// <summary>A row of a matrix.</summary>
    public T* Row(long item, long row) => At(item) + (row * RowStride);
}
