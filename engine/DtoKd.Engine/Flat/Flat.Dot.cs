namespace DtoKd.Engine;

public static unsafe partial class Flat
{
    /// <summary>The inner product of two gradients outside any tensor, summed in double as <see cref="Gram"/> does.</summary>
    /// <param name="a">Elements.</param>
    /// <param name="b">As many elements.</param>
    /// <exception cref="ArgumentException">The lengths differ.</exception>
    public static double Dot(ReadOnlySpan<float> a, ReadOnlySpan<float> b)
    {
        CheckLengths(a.Length, b.Length);
        fixed (float* pa = a, pb = b)
            return Dot(pa, pb, a.Length);
    }

    /// <summary>The inner product of two gradients outside any tensor, summed as <see cref="Gram"/> does.</summary>
    /// <param name="a">Elements.</param>
    /// <param name="b">As many elements.</param>
    /// <exception cref="ArgumentException">The lengths differ.</exception>
    public static double Dot(ReadOnlySpan<double> a, ReadOnlySpan<double> b)
    {
        CheckLengths(a.Length, b.Length);
        fixed (double* pa = a, pb = b)
            return Dot(pa, pb, a.Length);
    }

    private static void CheckLengths(int a, int b)
    {
        if (a != b)
            throw new ArgumentException($"an inner product needs gradients of one length, got {a} and {b}");
    }
}
