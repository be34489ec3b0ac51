using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace DtoKd.Engine.Cpu;

/// <summary>A row of an image with zeros on both sides, read in vectors of AVX-512.</summary>
internal static unsafe class PaddedRow
{
    /// <summary>Columns of a row from one on, zeros outside; columns count from the padding's first, where <paramref name="row"/> points.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Load(float* row, int column, int padding, int width)
    {
        if (column >= padding + width)
            return Vector512<float>.Zero;
        return Avx512F.MaskLoad(row + column, Inside(column, padding, width), Vector512<float>.Zero);
    }

    /// <summary>Every second element of two vectors, from the first on.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Even(Vector512<float> a, Vector512<float> b) => Avx512F.PermuteVar16x32x2(
        a, Vector512.Create(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30), b);

    /// <summary>Every second element of two vectors, from the second on.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Odd(Vector512<float> a, Vector512<float> b) => Avx512F.PermuteVar16x32x2(
        a, Vector512.Create(1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31), b);

    /// <summary>Which elements of a vector, as <see cref="Load"/> reads it, lie in the row.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Inside(int column, int padding, int width)
    {
        var place = Vector512<int>.Indices + Vector512.Create(column - padding);
        return Vector512.LessThan(place.AsUInt32(), Vector512.Create((uint)width)).AsSingle();
    }
}
