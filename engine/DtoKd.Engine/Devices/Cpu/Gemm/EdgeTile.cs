using System.Runtime.CompilerServices;

namespace DtoKd.Engine.Cpu;

/// <summary>Tiles that stick out of C, for kernels that only know whole ones.</summary>
internal static unsafe class EdgeTile
{
    // A full tile of the largest kernel that comes here.
    private const int Capacity = 8 * 32;

    /// <summary>Computes the whole tile beside C; what lies inside is then copied.</summary>
    [SkipLocalsInit]
    public static void Run<TKernel>(
        int depth, in TilePanels panels, float* c, long cStride, in TileEpilogue epilogue, int rows, int columns)
        where TKernel : struct, IMicroKernel
    {
        float* tile = stackalloc float[Capacity];
        TKernel.Tile(depth, panels, tile, TKernel.Columns, default);
        for (int i = 0; i < rows; i++)
        {
            for (int j = 0; j < columns; j++)
            {
                float sum = tile[j];
                if (epilogue.AddC)
                    sum += c[j];
                if (epilogue.Bias != null)
                    sum += epilogue.Bias[j];
                c[j] = sum;
            }

            c += cStride;
            tile += TKernel.Columns;
        }
    }
}
