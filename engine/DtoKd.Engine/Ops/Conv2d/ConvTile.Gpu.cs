using ILGPU;

namespace DtoKd.Engine.Gpu;

/// <summary>
/// A thread's 8 x 4 sums of a product's tile of 64 x 64, which 128 threads share: 8 rows of threads, 16 columns. The sums run over
/// slices of 16 of the inner axis, which lie in shared memory, the left one's rows and the right one's columns side by side.
/// </summary>
internal struct ConvTile
{
    public const int Size = 64;
    public const int Threads = 128;
    public const int Slice = 16;

    private Float4 _y0, _y1, _y2, _y3, _y4, _y5, _y6, _y7;

    /// <summary>The thread's first row in the tile.</summary>
    public static int Row => Group.IdxX / 16 * 8;

    /// <summary>The thread's first column in the tile.</summary>
    public static int Column => Group.IdxX % 16 * 4;

    /// <summary>Adds the products of one slice, whose lines are <paramref name="pitch"/> fours of floats long.</summary>
    public void Add(ArrayView<Float4> left, ArrayView<Float4> right, int pitch)
    {
        int l = Row / 4, r = Column / 4;
        for (int i = 0; i < Slice; i += 2)
        {
            Add(left[l], left[l + 1], right[r]);
            l += pitch;
            r += pitch;
            Add(left[l], left[l + 1], right[r]);
            l += pitch;
            r += pitch;
        }
    }

    /// <summary>The sums of the thread's first column.</summary>
    public readonly Column8 Column0 => new()
    {
        Y0 = _y0.X,
        Y1 = _y1.X,
        Y2 = _y2.X,
        Y3 = _y3.X,
        Y4 = _y4.X,
        Y5 = _y5.X,
        Y6 = _y6.X,
        Y7 = _y7.X,
    };

    /// <summary>The sums of the thread's second column.</summary>
    public readonly Column8 Column1 => new()
    {
        Y0 = _y0.Y,
        Y1 = _y1.Y,
        Y2 = _y2.Y,
        Y3 = _y3.Y,
        Y4 = _y4.Y,
        Y5 = _y5.Y,
        Y6 = _y6.Y,
        Y7 = _y7.Y,
    };

    /// <summary>The sums of the thread's third column.</summary>
    public readonly Column8 Column2 => new()
    {
        Y0 = _y0.Z,
        Y1 = _y1.Z,
        Y2 = _y2.Z,
        Y3 = _y3.Z,
        Y4 = _y4.Z,
        Y5 = _y5.Z,
        Y6 = _y6.Z,
        Y7 = _y7.Z,
    };

    /// <summary>The sums of the thread's last column.</summary>
    public readonly Column8 Column3 => new()
    {
        Y0 = _y0.W,
        Y1 = _y1.W,
        Y2 = _y2.W,
        Y3 = _y3.W,
        Y4 = _y4.W,
        Y5 = _y5.W,
        Y6 = _y6.W,
        Y7 = _y7.W,
    };

    private void Add(Float4 top, Float4 bottom, Float4 right)
    {
        _y0 = MultiplyAdd(top.X, right, _y0);
        _y1 = MultiplyAdd(top.Y, right, _y1);
        _y2 = MultiplyAdd(top.Z, right, _y2);
        _y3 = MultiplyAdd(top.W, right, _y3);
        _y4 = MultiplyAdd(bottom.X, right, _y4);
        _y5 = MultiplyAdd(bottom.Y, right, _y5);
        _y6 = MultiplyAdd(bottom.Z, right, _y6);
        _y7 = MultiplyAdd(bottom.W, right, _y7);
    }

    private static Float4 MultiplyAdd(float a, Float4 b, Float4 sum) => new()
    {
        X = Ptx.Fma(a, b.X, sum.X),
        Y = Ptx.Fma(a, b.Y, sum.Y),
        Z = Ptx.Fma(a, b.Z, sum.Z),
        W = Ptx.Fma(a, b.W, sum.W),
    };
}

/// <summary>Eight numbers one below the other.</summary>
internal struct Column8
{
    public float Y0, Y1, Y2, Y3, Y4, Y5, Y6, Y7;
}
