using ILGPU;
using ILGPU.Util;

namespace DtoKd.Engine.Gpu;

/// <summary>Where the extreme element of each line is: a team of threads for a row, a thread for a column.</summary>
internal static class ArgGpu
{
    /// <summary>The index of the element that the fold chooses, the first of equals; the first NaN if there is one.</summary>
    public static void Run<TFold>(Tensor x, Tensor indices, ReductionPlan plan)
        where TFold : struct, IFold
    {
        var lines = new Lines(plan.Outer, plan.Reduced, plan.Inner);
        RowTeam.Launch<ArgLines<ThreadOfColumn, TFold>, ArgLines<WarpOfRow, TFold>, ArgLines<GroupOfRow, TFold>, ArgArgs>(
            (GpuDevice)x.Device, lines, new() { X = GpuDevice.View<float>(x), Indices = GpuDevice.View<long>(indices), Lines = lines });
    }
}

internal struct ArgArgs
{
    public ArrayView<float> X;
    public ArrayView<long> Indices;
    public Lines Lines;
}

/// <summary>A thread finds the first of its own elements; those that equal the team's choice offer their index.</summary>
internal readonly struct ArgLines<TTeam, TFold> : IKernel<ArgArgs>
    where TTeam : struct, ILineTeam
    where TFold : struct, IFold
{
    public static void Run(ArgArgs args)
    {
        int line = TTeam.Row, length = line < args.Lines.Count ? args.Lines.Length : 0, first = args.Lines.First(line);
        float best = GpuLane.Of(TFold.Start).Value;
        int index = int.MaxValue;
        if (TTeam.Rank < length)
        {
            index = TTeam.Rank;
            best = args.X[first + (index * args.Lines.Inner)];
        }

        for (int i = TTeam.Rank + TTeam.Size; i < length; i += TTeam.Size)
        {
            float next = args.X[first + (i * args.Lines.Inner)];
            // Another choice than so far, which is never better than one that is not a number.
            if (!float.IsNaN(best) && TFold.Of<GpuLane>(new(best), new(next)).Value != best)
                (index, best) = (i, next);
        }

        float all = TTeam.Fold<TFold>(best);
        bool isChosen = best == all || (float.IsNaN(all) && float.IsNaN(best));
        // Chosen without a branch: ILGPU would follow it with two copies of the exchange, and warps that take both wait forever.
        index = TTeam.Smallest(Utilities.Select(isChosen, index, int.MaxValue));
        if (TTeam.Rank == 0 && line < args.Lines.Count)
            args.Indices[line] = index;
    }
}
