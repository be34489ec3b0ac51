using System.Runtime.CompilerServices;

namespace DtoKd.Engine.Cpu;

/// <summary>Incomplete vectors, element by element, where the processor has no masked loads and stores.</summary>
internal static unsafe class LaneParts
{
    [MethodImpl(MethodImplOptions.NoInlining)]
    public static V Load<V>(float* source, long count, float fill)
        where V : unmanaged, IFloatLane<V>
    {
        float* part = stackalloc float[V.Width];
        for (int k = 0; k < V.Width; k++)
            part[k] = k < count ? source[k] : fill;
        return V.Load(part);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    public static void Store<V>(V value, float* target, long count)
        where V : unmanaged, IFloatLane<V>
    {
        float* part = stackalloc float[V.Width];
        V.Store(value, part);
        for (int k = 0; k < count; k++)
            target[k] = part[k];
    }
}
