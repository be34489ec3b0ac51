namespace DtoKd.Engine.Gpu;

/// <summary>
/// Where a column of a tile is: what it adds to a row, a column and an offset of the image that is read, and its place in the
/// result, below 0 beyond the last.
/// </summary>
internal struct ConvPlace
{
    // So far up that it is outside of any image, whatever is added.
    private const int Outside = int.MinValue / 2;

    public int Row, Column, Source, Target;

    /// <summary>A pixel of y: where its windows begin.</summary>
    public static ConvPlace Of(ConvProductArgs args, int group, int pixel)
    {
        int line = pixel / args.Across.Count, across = pixel - (line * args.Across.Count);
        int image = line / args.Down.Count, down = line - (image * args.Down.Count);
        int slab = (image * args.Groups) + group;
        ConvPlace place;
        place.Row = (down * args.Down.SourceStep) + args.Down.Origin;
        place.Column = (across * args.Across.SourceStep) + args.Across.Origin;
        place.Source = (slab * args.SlabStride) + (((place.Row * args.SourceWidth) + place.Column) * args.PixelStride);
        place.Target = (slab * args.Rows * args.Area)
            + ((args.Down.First + (down * args.Down.Step)) * args.Width) + args.Across.First + (across * args.Across.Step);
        return Beyond(place, pixel >= args.Pixels);
    }

    /// <summary>An element of x's windows: what it adds to where a window begins.</summary>
    public static ConvPlace Of(ConvWeightGradientArgs args, int element)
    {
        int channel = element / args.KernelArea, tap = element - (channel * args.KernelArea);
        int a = tap / args.KernelWidth, b = tap - (a * args.KernelWidth);
        ConvPlace place;
        place.Row = a * args.DilationH;
        place.Column = b * args.DilationW;
        place.Source = (((channel * args.Height) + place.Row) * args.Width) + place.Column;
        place.Target = element;
        return Beyond(place, element >= args.Columns);
    }

    private static ConvPlace Beyond(ConvPlace place, bool isBeyond)
    {
        place.Row = isBeyond ? Outside : place.Row;
        place.Target = isBeyond ? -1 : place.Target;
        return place;
    }
}
