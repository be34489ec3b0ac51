namespace DtoKd.Engine.Gpu;

/// <summary><see cref="SampleRule"/> for kernels, in single precision.</summary>
internal struct SampleRuleGpu(SampleRule rule)
{
    public int IsNearest = rule.Mode == SampleMode.Nearest ? 1 : 0;
    public int IsBounded = rule.Padding == SamplePadding.Zeros ? 0 : 1;
    public int Reflects = rule.Padding == SamplePadding.Reflection ? 1 : 0;
    public int AlignsCorners = rule.AlignCorners ? 1 : 0;

    /// <summary>The pixels that a position of an image reads.</summary>
    public readonly SampleTaps Point(float across, float down, int height, int width)
    {
        SamplePlace x = Place(across, width), y = Place(down, height);
        return IsNearest != 0 ? SampleTaps.Nearest(x.At, y.At, height, width) : SampleTaps.Bilinear(x, y, height, width);
    }

    private readonly SamplePlace Place(float position, int size)
    {
        float slope = (AlignsCorners != 0 ? size - 1 : size) * 0.5f;
        float place = AlignsCorners != 0 ? (position + 1) * slope : ((position + 1) * slope) - 0.5f;
        if (IsBounded == 0)
            return new() { At = place, Slope = slope };
        if (Reflects != 0)
        {
            float edge = AlignsCorners != 0 ? 0 : -0.5f, length = AlignsCorners != 0 ? size - 1 : size;
            if (length == 0)
            {
                place = 0;
            }
            else
            {
                float distance = Ptx.Abs(place - edge), times = SampleTaps.Floor(distance / length), rest = distance - (times * length);
                float pairs = times * 0.5f;
                if (place < edge)
                    slope = -slope;
                bool forth = SampleTaps.Floor(pairs) == pairs;
                if (!forth)
                    slope = -slope;
                place = forth ? edge + rest : edge + length - rest;
            }
        }

        if (place > 0 && place < size - 1)
            return new() { At = place, Slope = slope };
        // Not a number stays so, and lies outside.
        return new() { At = place <= 0 ? 0 : place >= size - 1 ? size - 1 : place, Slope = 0 };
    }
}

/// <summary>A place along an axis in pixels, and how it changes with the position.</summary>
internal struct SamplePlace
{
    public float At, Slope;
}

/// <summary>A pixel that is read: where it is in its plane, -1 outside of it, its weight, and the slopes of the weight.</summary>
internal struct SampleTap
{
    public int Offset;
    public float Weight, SlopeX, SlopeY;
}

/// <summary>The pixels around a position.</summary>
internal struct SampleTaps
{
    public SampleTap A, B, C, D;

    /// <summary>The next pixel, halves to the even one.</summary>
    public static SampleTaps Nearest(float x, float y, int height, int width)
    {
        var none = new SampleTap { Offset = -1 };
        return new() { A = Tap(Ptx.Round(x), Ptx.Round(y), 1, 0, 0, height, width), B = none, C = none, D = none };
    }

    /// <summary>The four pixels around a place.</summary>
    public static SampleTaps Bilinear(SamplePlace x, SamplePlace y, int height, int width)
    {
        float left = Floor(x.At), top = Floor(y.At), u = x.At - left, v = y.At - top;
        return new()
        {
            A = Tap(left, top, (1 - u) * (1 - v), -x.Slope * (1 - v), -y.Slope * (1 - u), height, width),
            B = Tap(left + 1, top, u * (1 - v), x.Slope * (1 - v), -y.Slope * u, height, width),
            C = Tap(left, top + 1, (1 - u) * v, -x.Slope * v, y.Slope * (1 - u), height, width),
            D = Tap(left + 1, top + 1, u * v, x.Slope * v, y.Slope * u, height, width),
        };
    }

    public static float Floor(float x)
    {
        float near = Ptx.Round(x);
        return near > x ? near - 1 : near;
    }

    // The comparisons are of floats: a far place would not fit an integer.
    private static SampleTap Tap(float column, float row, float weight, float slopeX, float slopeY, int height, int width)
    {
        bool inside = column >= 0 && column < width && row >= 0 && row < height;
        return new()
        {
            Offset = inside ? ((int)row * width) + (int)column : -1,
            Weight = weight,
            SlopeX = slopeX,
            SlopeY = slopeY,
        };
    }
}
