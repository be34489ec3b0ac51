using System.Runtime.CompilerServices;

namespace DtoKd.Engine;

/// <summary>How many elements apart neighbours along each axis are; 0 along a broadcast axis.</summary>
[InlineArray(Shape.MaxRank)]
internal struct Strides
{
    private long _first;

    /// <summary>The strides of a tensor stored row by row without gaps.</summary>
    public static Strides Contiguous(Shape shape)
    {
        var strides = default(Strides);
        long stride = 1;
        for (int i = shape.Rank - 1; i >= 0; i--)
        {
            strides[i] = stride;
            stride *= shape[i];
        }

        return strides;
    }

    /// <summary>Whether elements lie row by row without gaps; axes of size 1 do not matter.</summary>
    public readonly bool AreContiguous(Shape shape)
    {
        long expected = 1;
        for (int i = shape.Rank - 1; i >= 0; i--)
        {
            if (shape[i] != 1 && this[i] != expected)
                return shape.Count == 0;
            expected *= shape[i];
        }

        return true;
    }

    /// <summary>Whether two different indices may name the same element.</summary>
    public readonly bool Overlap(Shape shape)
    {
        for (int i = 0; i < shape.Rank; i++)
        {
            if (shape[i] > 1 && this[i] == 0)
                return true;
        }

        return false;
    }

    /// <summary>The strides that make a tensor of shape <paramref name="from"/> look like <paramref name="to"/>.</summary>
    public readonly Strides BroadcastTo(Shape from, Shape to)
    {
        var strides = default(Strides);
        int lead = to.Rank - from.Rank;
        for (int i = 0; i < from.Rank; i++)
            strides[lead + i] = from[i] == 1 && to[lead + i] != 1 ? 0 : this[i];
        return strides;
    }
}
