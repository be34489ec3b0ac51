using ILGPU;

namespace DtoKd.Engine.Gpu;

/// <summary>
/// The threads that share a row: a warp for rows of up to <see cref="RowTeam.WarpLength"/> elements, a group for longer ones. A
/// thread of a team works on the elements Rank, Rank + Size, ... of the row; what it reads again comes from the first cache.
/// </summary>
internal interface IRowTeam
{
    /// <summary>The row of this thread. In the last group it may lie beyond the last one: such a team folds along without work.</summary>
    static abstract int Row { get; }

    static abstract int Rank { get; }

    static abstract int Size { get; }

    /// <summary>The fold over the team, for every thread.</summary>
    static abstract float Fold<TFold>(float value)
        where TFold : struct, IFold;
}

/// <summary>A warp for each row.</summary>
internal readonly struct WarpOfRow : IRowTeam
{
    public static int Row => (Grid.IdxX * (Group.DimX / RowTeam.WarpSize)) + (Group.IdxX / RowTeam.WarpSize);

    public static int Rank => Group.IdxX % RowTeam.WarpSize;

    public static int Size => RowTeam.WarpSize;

    public static float Fold<TFold>(float value)
        where TFold : struct, IFold => GroupFold.OfWarp<TFold>(value);
}

/// <summary>A group for each row.</summary>
internal readonly struct GroupOfRow : IRowTeam
{
    public static int Row => Grid.IdxX;

    public static int Rank => Group.IdxX;

    public static int Size => Group.DimX;

    public static float Fold<TFold>(float value)
        where TFold : struct, IFold => GroupFold.Of<TFold>(value);
}

/// <summary>Launches of kernels that work on rows.</summary>
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
}
