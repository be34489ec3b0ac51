namespace DtoKd.Engine.Cpu;

/// <summary>Each thread's scratch for packed panels: grown on demand, kept for the next product, freed with the thread.</summary>
internal static unsafe class PackBuffers
{
    // 256 KiB, of which nothing is touched. Panels are read with strides of up to 48 KiB, and by all signs a core asks ahead for what would
    // follow. With another thread's scratch there, that thread's next writes first have to take the lines back.
    private const int Apart = 1 << 16;

    [ThreadStatic]
    private static float[]? _a;

    [ThreadStatic]
    private static float[]? _b;

    [ThreadStatic]
    private static float[]? _rows;

    /// <summary>Room for packed panels of A.</summary>
    public static float* A(long length) => Aligned(ref _a, length);

    /// <summary>Room for packed panels of B.</summary>
    public static float* B(long length) => Aligned(ref _b, length);

    /// <summary>Room for lines of an operand that lies in runs.</summary>
    public static float* Rows(long length) => Aligned(ref _rows, length);

    /// <summary>Room in a thread-static buffer, at an address that suits every vector width.</summary>
    public static float* Aligned(ref float[]? buffer, long length)
    {
        const int Slack = (Pool.Alignment / sizeof(float)) + Apart;
        if (buffer is null || buffer.Length < length + Slack)
            buffer = GC.AllocateUninitializedArray<float>(checked((int)(length + Slack)), pinned: true);
        fixed (float* start = buffer)
            return (float*)(((nint)start + Pool.Alignment - 1) & -Pool.Alignment);
    }
}
