using ILGPU;

namespace DtoKd.Engine.Gpu;

/// <summary>Where one element of a walk lies in up to four tensors.</summary>
internal struct Places
{
    public int A, B, C, D;
}

/// <summary>One number for each axis of a walk, the innermost first.</summary>
internal struct PerAxis
{
    public int N0, N1, N2, N3, N4, N5;

    public void Set(int axis, int value)
    {
        switch (axis)
        {
            case 0:
                N0 = value;
                break;
            case 1:
                N1 = value;
                break;
            case 2:
                N2 = value;
                break;
            case 3:
                N3 = value;
                break;
            case 4:
                N4 = value;
                break;
            default:
                N5 = value;
                break;
        }
    }
}

/// <summary>A <see cref="StridedLoop"/> for kernels: any thread finds the places of any element in row-major order.</summary>
internal struct Walk
{
    /// <summary>The number of elements.</summary>
    public int Count;

    private int _rank;
    private PerAxis _sizes, _a, _b, _c, _d;

    public Walk(StridedLoop loop)
    {
        this = default;
        Count = checked((int)(loop.Rows * loop.Inner));
        _rank = loop.Rank;
        for (int axis = 0; axis < _rank; axis++)
        {
            int from = _rank - 1 - axis;
            _sizes.Set(axis, checked((int)loop.Size(from)));
            _a.Set(axis, checked((int)loop.Stride(from, 0)));
            _b.Set(axis, checked((int)loop.Stride(from, 1)));
            _c.Set(axis, checked((int)loop.Stride(from, 2)));
            _d.Set(axis, checked((int)loop.Stride(from, 3)));
        }
    }

    /// <summary>Whether all axes have merged into one, along which the operand's stride is 0 or 1.</summary>
    public static bool IsFlat(StridedLoop loop, int operand) => loop.Rows == 1 && loop.InnerStride(operand) is 0 or 1;

    // Written out: ILGPU unrolls no loop, and an array would lie in slow memory.
    public readonly Places At(int element)
    {
        var places = default(Places);
        int rest = Step(element, _sizes.N0, _a.N0, _b.N0, _c.N0, _d.N0, _rank <= 1, ref places);
        if (_rank > 1)
            rest = Step(rest, _sizes.N1, _a.N1, _b.N1, _c.N1, _d.N1, _rank == 2, ref places);
        if (_rank > 2)
            rest = Step(rest, _sizes.N2, _a.N2, _b.N2, _c.N2, _d.N2, _rank == 3, ref places);
        if (_rank > 3)
            rest = Step(rest, _sizes.N3, _a.N3, _b.N3, _c.N3, _d.N3, _rank == 4, ref places);
        if (_rank > 4)
            rest = Step(rest, _sizes.N4, _a.N4, _b.N4, _c.N4, _d.N4, _rank == 5, ref places);
        if (_rank > 5)
            Step(rest, _sizes.N5, _a.N5, _b.N5, _c.N5, _d.N5, true, ref places);
        return places;
    }

    private static int Step(int element, int size, int a, int b, int c, int d, bool isLast, ref Places places)
    {
        // The outermost axis takes what is left: a division less, and a size of 0 (no axis at all) divides nothing.
        int rest = isLast ? 0 : element / size;
        int index = element - (rest * size);
        places.A += index * a;
        places.B += index * b;
        places.C += index * c;
        places.D += index * d;
        return rest;
    }
}

/// <summary>The elements that a thread of a one-dimensional grid works on: every so many threads one.</summary>
internal static class GridStride
{
    public static int First => (Grid.IdxX * Group.DimX) + Group.IdxX;

    public static int Step => Grid.DimX * Group.DimX;

    /// <summary>Launches a kernel that goes over <paramref name="count"/> elements with <see cref="First"/> and <see cref="Step"/>.</summary>
    public static void Launch<TKernel, TArgs>(GpuDevice device, long count, in TArgs args)
        where TKernel : struct, IKernel<TArgs>
        where TArgs : struct
    {
        if (count == 0)
            return;
        // Enough groups to fill the device several times; a thread takes further elements beyond that.
        long groups = Math.Min((count + device.GroupSize - 1) / device.GroupSize, 32L * device.Processors);
        device.Launcher.Launch<TKernel, TArgs>(groups, device.GroupSize, args);
    }
}
