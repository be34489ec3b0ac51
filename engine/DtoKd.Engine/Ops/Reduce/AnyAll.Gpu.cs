using ILGPU;

namespace DtoKd.Engine.Gpu;

/// <summary>Whether a value occurs in each line of a mask: a team of threads for a row, a thread for a column.</summary>
internal static class FindGpu
{
    /// <summary>The sought value where it occurs, the other one elsewhere.</summary>
    public static void Run(Tensor mask, bool sought, Tensor y, ReductionPlan plan)
    {
        var lines = new Lines(plan.Outer, plan.Reduced, plan.Inner);
        RowTeam.Launch<FindLines<ThreadOfColumn>, FindLines<WarpOfRow>, FindLines<GroupOfRow>, FindArgs>((GpuDevice)y.Device, lines, new()
        {
            Mask = GpuDevice.View<byte>(mask),
            Y = GpuDevice.View<byte>(y),
            Sought = sought ? 1 : 0,
            Lines = lines,
        });
    }
}

internal struct FindArgs
{
    public ArrayView<byte> Mask, Y;
    public int Sought;
    public Lines Lines;
}

internal readonly struct FindLines<TTeam> : IKernel<FindArgs>
    where TTeam : struct, ILineTeam
{
    public static void Run(FindArgs args)
    {
        int line = TTeam.Row, length = line < args.Lines.Count ? args.Lines.Length : 0, first = args.Lines.First(line);
        int found = int.MaxValue;
        for (int i = TTeam.Rank; i < length && found != 0; i += TTeam.Size)
            found = args.Mask[first + (i * args.Lines.Inner)] == args.Sought ? 0 : found;
        found = TTeam.Smallest(found);
        if (TTeam.Rank == 0 && line < args.Lines.Count)
            args.Y[line] = (byte)(found == 0 ? args.Sought : 1 - args.Sought);
    }
}
