namespace DtoKd.Engine;

/// <summary>How positions -1 .. 1 become pixels.</summary>
internal readonly record struct SampleRule(SampleMode Mode, SamplePadding Padding, bool AlignCorners)
{
    /// <summary>The pixels that a position of an image reads.</summary>
    public SamplePoint Point(double across, double down, int height, int width)
    {
        double x = Place(across, width, out double slopeX), y = Place(down, height, out double slopeY);
        return Mode == SampleMode.Nearest
            ? SamplePoint.Nearest(x, y, height, width)
            : SamplePoint.Bilinear(x, y, slopeX, slopeY, height, width);
    }

    /// <summary>The position in pixels along an axis, 0 at the first one's centre, and its slope.</summary>
    private double Place(double position, int size, out double slope)
    {
        slope = (AlignCorners ? size - 1 : size) / 2.0;
        double place = AlignCorners ? (position + 1) * slope : ((position + 1) * slope) - 0.5;
        if (Padding == SamplePadding.Zeros)
            return place;
        if (Padding == SamplePadding.Reflection)
            place = Reflect(place, AlignCorners ? 0 : -0.5, AlignCorners ? size - 1 : size, ref slope);
        if (place > 0 && place < size - 1)
            return place;
        slope = 0;
        return Math.Clamp(place, 0, size - 1);
    }

    /// <summary>Mirrors a place into the stretch of some length from an edge on.</summary>
    private static double Reflect(double place, double edge, double length, ref double slope)
    {
        if (length == 0)
            return 0;
        double distance = Math.Abs(place - edge), rest = distance % length;
        if (place < edge)
            slope = -slope;
        if (Math.Floor(distance / length) % 2 == 0)
            return edge + rest;
        slope = -slope;
        return edge + length - rest;
    }
}

/// <summary>
/// The pixels around a position, those outside of the image left out: their offsets in the plane, their weights, and the slopes
/// of the weights with the position.
/// </summary>
internal unsafe struct SamplePoint
{
    public fixed long Offset[4];
    public fixed double Weight[4];
    public fixed double SlopeX[4];
    public fixed double SlopeY[4];

    /// <summary>How many pixels are read.</summary>
    public int Count { get; private set; }

    /// <summary>The next pixel, halves to the even one.</summary>
    public static SamplePoint Nearest(double x, double y, int height, int width)
    {
        var point = default(SamplePoint);
        point.Add(Math.Round(x), Math.Round(y), 1, 0, 0, height, width);
        return point;
    }

    /// <summary>The four pixels around place (x, y), which changes by the given slopes.</summary>
    public static SamplePoint Bilinear(double x, double y, double slopeX, double slopeY, int height, int width)
    {
        var point = default(SamplePoint);
        double left = Math.Floor(x), top = Math.Floor(y), u = x - left, v = y - top;
        point.Add(left, top, (1 - u) * (1 - v), -slopeX * (1 - v), -slopeY * (1 - u), height, width);
        point.Add(left + 1, top, u * (1 - v), slopeX * (1 - v), -slopeY * u, height, width);
        point.Add(left, top + 1, (1 - u) * v, -slopeX * v, slopeY * (1 - u), height, width);
        point.Add(left + 1, top + 1, u * v, slopeX * v, slopeY * u, height, width);
        return point;
    }

    // The comparisons are made in double: a far place would not fit an integer.
    private void Add(double column, double row, double weight, double slopeX, double slopeY, int height, int width)
    {
        if (!(column >= 0 && column < width && row >= 0 && row < height))
            return;
        Offset[Count] = ((long)row * width) + (long)column;
        Weight[Count] = weight;
        SlopeX[Count] = slopeX;
        SlopeY[Count] = slopeY;
        Count++;
    }
}
