namespace DtoKd.Engine;

public static unsafe partial class Flat
{
    /// <summary>Adds 1 to a counter.</summary>
    /// <param name="counter">An I64 tensor of one element.</param>
    public static void Increment(Tensor counter)
    {
        if (!counter.Device.IsHost)
            Gpu.FlatGpu.Increment(counter);
        else
            (*counter.Pointer<long>())++;
    }
}
