namespace DtoKd.Engine.Gpu;

/// <summary>
/// A kernel: a struct whose <see cref="Run"/> every thread of the grid executes. It may be generic over formulas and element
/// types, which are compiled into it.
/// </summary>
/// <typeparam name="TArgs">The arguments: one struct of views, numbers and structs of them.</typeparam>
internal interface IKernel<TArgs>
    where TArgs : struct
{
    /// <summary>The largest group it is launched with: what registers are shared among.</summary>
    static virtual int MaxGroupSize => 256;

    /// <summary>Bytes of shared memory that are asked for at the launch: what a kernel needs more than 48 KiB for.</summary>
    static virtual int SharedBytes => 0;

    static abstract void Run(TArgs args);
}

/// <summary>The method that ILGPU compiles for a kernel.</summary>
internal static class KernelEntry
{
    public static void Run<TKernel, TArgs>(TArgs args)
        where TKernel : struct, IKernel<TArgs>
        where TArgs : struct => TKernel.Run(args);
}
