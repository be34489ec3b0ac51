namespace DtoKd.Engine;

/// <summary>Walks the elements of a strided tensor in row-major order.</summary>
internal ref struct StridedIndex(Shape shape, in Strides strides)
{
    private readonly Strides _strides = strides;
    private Strides _index;

    /// <summary>The current element, counted from the tensor's first one.</summary>
    public long Offset { get; private set; }

    public void Next()
    {
        for (int axis = shape.Rank - 1; axis >= 0; axis--)
        {
            Offset += _strides[axis];
            if (++_index[axis] < shape[axis])
                return;
            Offset -= _strides[axis] * shape[axis];
            _index[axis] = 0;
        }
    }
}
