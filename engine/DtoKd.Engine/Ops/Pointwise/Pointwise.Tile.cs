using DtoKd.Engine.Cpu;

namespace DtoKd.Engine;

/// <summary>Formulas on tiles of a product that are still in the L1.</summary>
internal static unsafe partial class Pointwise
{
    /// <summary>c = map(c, companion), by the vectors of a machine.</summary>
    public static delegate*<in FinishedTile, void> OnTile<TMap>(LaneKind lanes)
        where TMap : struct, IMap
    {
        switch (lanes)
        {
            case LaneKind.Lane512:
                return &Tile<TMap, Lane512>;
            case LaneKind.Lane256:
                return &Tile<TMap, Lane256>;
            default:
                return &Tile<TMap, LaneVector>;
        }
    }

    /// <summary>c = formula(c), companion = its slope there.</summary>
    public static delegate*<in FinishedTile, void> OnTileWithSlope<TFormula>(LaneKind lanes)
        where TFormula : struct, IUnaryWithSlope
    {
        switch (lanes)
        {
            case LaneKind.Lane512:
                return &TileWithSlope<TFormula, Lane512>;
            case LaneKind.Lane256:
                return &TileWithSlope<TFormula, Lane256>;
            default:
                return &TileWithSlope<TFormula, LaneVector>;
        }
    }

    private static void Tile<TMap, V>(in FinishedTile tile)
        where TMap : struct, IMap
        where V : unmanaged, IFloatLane<V>
    {
        TMap map = default;
        float* c = tile.C, companion = TMap.Arity > 1 ? tile.Companion : c;
        long stride = tile.Stride, columns = tile.Columns;
        for (int row = 0; row < tile.Rows; row++, c += stride, companion += stride)
        {
            long i = 0;
            for (; i + V.Width <= columns; i += V.Width)
            {
                var x = V.Load(c + i);
                V.Store(map.Map(x, TMap.Arity > 1 ? V.Load(companion + i) : x, x), c + i);
            }

            if (i == columns)
                continue;
            var last = V.LoadPart(c + i, columns - i, 0);
            V.StorePart(map.Map(last, TMap.Arity > 1 ? V.LoadPart(companion + i, columns - i, 0) : last, last), c + i, columns - i);
        }
    }

    private static void TileWithSlope<TFormula, V>(in FinishedTile tile)
        where TFormula : struct, IUnaryWithSlope
        where V : unmanaged, IFloatLane<V>
    {
        TFormula formula = default;
        float* c = tile.C, slope = tile.Companion;
        long stride = tile.Stride, columns = tile.Columns;
        for (int row = 0; row < tile.Rows; row++, c += stride, slope += stride)
            ValueAndSlope<TFormula, V>(formula, c, c, slope, columns);
    }
}
