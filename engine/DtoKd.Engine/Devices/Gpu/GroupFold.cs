using ILGPU;

namespace DtoKd.Engine.Gpu;

/// <summary>
/// Folds one number of every thread of a group into one, in a fixed order: by halves within warps, then over the warps in
/// order. All threads of the group must take part; the group is of whole warps.
/// </summary>
internal static class GroupFold
{
    /// <summary>The most warps in a group.</summary>
    private const int MaxWarps = 32;

    /// <summary>The fold of two numbers.</summary>
    public static float Both<TFold>(float a, float b)
        where TFold : struct, IFold => TFold.Of(new GpuLane(a), new GpuLane(b)).Value;

    /// <summary>The fold over the group, for every thread.</summary>
    public static float Of<TFold>(float value)
        where TFold : struct, IFold
    {
        value = OfWarp<TFold>(value);
        var warps = SharedMemory.Allocate<float>(MaxWarps);
        if (Warp.IsFirstLane)
            warps[Warp.WarpIdx] = value;
        Group.Barrier();
        float all = warps[0];
        int count = Group.DimX / Warp.WarpSize;
        for (int i = 1; i < count; i++)
            all = Both<TFold>(all, warps[i]);
        // The next fold may use the same memory.
        Group.Barrier();
        return all;
    }

    /// <summary>The fold over the warp, for every thread of it.</summary>
    public static float OfWarp<TFold>(float value)
        where TFold : struct, IFold
    {
        for (int distance = 16; distance > 0; distance >>= 1)
            value = Both<TFold>(value, Warp.ShuffleXor(value, distance));
        return value;
    }

    /// <summary>The smallest number of the warp, for every thread of it.</summary>
    public static int SmallestOfWarp(int value)
    {
        for (int distance = 16; distance > 0; distance >>= 1)
            value = IntrinsicMath.Min(value, Warp.ShuffleXor(value, distance));
        return value;
    }

    /// <summary>The smallest number of the group, for every thread.</summary>
    public static int Smallest(int value)
    {
        value = SmallestOfWarp(value);
        var warps = SharedMemory.Allocate<int>(MaxWarps);
        if (Warp.IsFirstLane)
            warps[Warp.WarpIdx] = value;
        Group.Barrier();
        int all = warps[0];
        int count = Group.DimX / Warp.WarpSize;
        for (int i = 1; i < count; i++)
            all = IntrinsicMath.Min(all, warps[i]);
        Group.Barrier();
        return all;
    }

    /// <summary>The sums over threads of equal lanes, a thread of each warp, in the warps' order; right in the first warp.</summary>
    public static float SumOfWarps(float value)
    {
        var all = SharedMemory.Allocate<float>(MaxWarps * RowTeam.WarpSize);
        all[Group.IdxX] = value;
        Group.Barrier();
        if (Group.IdxX < Warp.WarpSize)
        {
            for (int i = Group.IdxX + Warp.WarpSize; i < Group.DimX; i += Warp.WarpSize)
                value += all[i];
        }

        Group.Barrier();
        return value;
    }

    /// <summary>The sum over the group in double precision, for every thread.</summary>
    public static double Sum(double value)
    {
        for (int distance = 16; distance > 0; distance >>= 1)
            value += Warp.ShuffleXor(value, distance);
        var warps = SharedMemory.Allocate<double>(MaxWarps);
        if (Warp.IsFirstLane)
            warps[Warp.WarpIdx] = value;
        Group.Barrier();
        double all = warps[0];
        int count = Group.DimX / Warp.WarpSize;
        for (int i = 1; i < count; i++)
            all += warps[i];
        Group.Barrier();
        return all;
    }
}

/// <summary>A sum as a fold.</summary>
internal readonly struct SumOf : IFold
{
    public static double Start => 0;

    public static V Of<V>(V a, V b)
        where V : unmanaged, ILane<V> => a + b;
}
