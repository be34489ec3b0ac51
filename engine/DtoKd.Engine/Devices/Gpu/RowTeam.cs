using ILGPU;

namespace DtoKd.Engine.Gpu;

/// <summary>
/// The threads that share a line of elements along an axis. A thread of a team works on the elements Rank, Rank + Size, ... of the
/// line; what it reads again comes from the first cache.
/// </summary>
internal interface ILineTeam
{
    /// <summary>The line of this thread. In the last group it may lie beyond the last one: such a team folds along without work.</summary>
    static abstract int Row { get; }

    static abstract int Rank { get; }

    static abstract int Size { get; }

    /// <summary>The fold over the team, for every thread.</summary>
    static abstract float Fold<TFold>(float value)
        where TFold : struct, IFold;

    /// <summary>The smallest number of the team, for every thread.</summary>
    static abstract int Smallest(int value);
}

/// <summary>A team for lines whose elements are neighbours: a warp for up to <see cref="RowTeam.WarpLength"/>, a group for more.</summary>
internal interface IRowTeam : ILineTeam;

/// <summary>A warp for each row.</summary>
internal readonly struct WarpOfRow : IRowTeam
{
    public static int Row => (Grid.IdxX * (Group.DimX / RowTeam.WarpSize)) + (Group.IdxX / RowTeam.WarpSize);

    public static int Rank => Group.IdxX % RowTeam.WarpSize;

    public static int Size => RowTeam.WarpSize;

    public static float Fold<TFold>(float value)
        where TFold : struct, IFold => GroupFold.OfWarp<TFold>(value);

    public static int Smallest(int value) => GroupFold.SmallestOfWarp(value);
}

/// <summary>A group for each row.</summary>
internal readonly struct GroupOfRow : IRowTeam
{
    public static int Row => Grid.IdxX;

    public static int Rank => Group.IdxX;

    public static int Size => Group.DimX;

    public static float Fold<TFold>(float value)
        where TFold : struct, IFold => GroupFold.Of<TFold>(value);

    public static int Smallest(int value) => GroupFold.Smallest(value);
}

/// <summary>A thread for each line across rows: neighbouring threads read neighbouring columns.</summary>
internal readonly struct ThreadOfColumn : ILineTeam
{
    public static int Row => (Grid.IdxX * Group.DimX) + Group.IdxX;

    public static int Rank => 0;

    public static int Size => 1;

    public static float Fold<TFold>(float value)
        where TFold : struct, IFold => value;

    public static int Smallest(int value) => value;
}

/// <summary>The lines of a contiguous [outer, length, inner] along its middle, in row-major order.</summary>
internal struct Lines(long outer, long length, long inner)
{
    public int Count = checked((int)(outer * inner)), Length = checked((int)length), Inner = checked((int)inner);

    /// <summary>Where a line starts; its elements are <see cref="Inner"/> apart.</summary>
    public readonly int First(int line)
    {
        int block = line / Inner;
        return line + (block * (Length - 1) * Inner);
    }
}

/// <summary>Launches of kernels that work on rows or lines.</summary>
internal static class RowTeam
{
    public const int WarpSize = 32;

    /// <summary>The longest row of a warp: 32 elements a thread.</summary>
    public const long WarpLength = 1024;

    /// <summary>Launches a kernel over rows in the version for their length.</summary>
    public static void Launch<TOfWarps, TOfGroups, TArgs>(GpuDevice device, long rows, long length, in TArgs args)
        where TOfWarps : struct, IKernel<TArgs>
        where TOfGroups : struct, IKernel<TArgs>
        where TArgs : struct
    {
        if (rows == 0)
            return;
        int warps = device.GroupSize / WarpSize;
        if (length <= WarpLength)
            device.Launcher.Launch<TOfWarps, TArgs>((rows + warps - 1) / warps, device.GroupSize, args);
        else
            device.Launcher.Launch<TOfGroups, TArgs>(rows, device.GroupSize, args);
    }

    /// <summary>Launches a kernel over lines: rows as above, columns a thread each.</summary>
    public static void Launch<TOfThreads, TOfWarps, TOfGroups, TArgs>(GpuDevice device, in Lines lines, in TArgs args)
        where TOfThreads : struct, IKernel<TArgs>
        where TOfWarps : struct, IKernel<TArgs>
        where TOfGroups : struct, IKernel<TArgs>
        where TArgs : struct
    {
        if (lines.Inner == 1)
            Launch<TOfWarps, TOfGroups, TArgs>(device, lines.Count, lines.Length, args);
        else if (lines.Count > 0)
            device.Launcher.Launch<TOfThreads, TArgs>((lines.Count + device.GroupSize - 1) / device.GroupSize, device.GroupSize, args);
    }
}
