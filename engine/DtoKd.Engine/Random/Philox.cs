using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace DtoKd.Engine;

/// <summary>
/// Philox4x32-10: four random words as a function of a 128-bit counter and a 64-bit key, with no state between calls
/// (Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2, 3", SC 2011).
/// </summary>
public static class Philox
{
    private const int Rounds = 10;

    // The paper's multipliers, and the Weyl steps of the key: the golden ratio and the square root of 3 less 1.
    private const uint Multiplier0 = 0xD2511F53, Multiplier1 = 0xCD9E8D57;
    private const uint Weyl0 = 0x9E3779B9, Weyl1 = 0xBB67AE85;

    /// <summary>The four words of a counter.</summary>
    /// <param name="c0">Counter, bits 0..31.</param>
    /// <param name="c1">Counter, bits 32..63.</param>
    /// <param name="c2">Counter, bits 64..95.</param>
    /// <param name="c3">Counter, bits 96..127.</param>
    /// <param name="k0">Key, bits 0..31.</param>
    /// <param name="k1">Key, bits 32..63.</param>
    /// <returns>Four words, each uniform over 32 bits.</returns>
    public static PhiloxBlock Block(uint c0, uint c1, uint c2, uint c3, uint k0, uint k1)
    {
        for (int round = 0; round < Rounds; round++)
        {
            ulong p0 = (ulong)Multiplier0 * c0, p1 = (ulong)Multiplier1 * c2;
            c0 = (uint)(p1 >> 32) ^ c1 ^ k0;
            c2 = (uint)(p0 >> 32) ^ c3 ^ k1;
            c1 = (uint)p1;
            c3 = (uint)p0;
            k0 += Weyl0;
            k1 += Weyl1;
        }
        return new PhiloxBlock(c0, c1, c2, c3);
    }

    /// <summary>
    /// The sixteen words of four counters, whose lowest parts are <paramref name="c0"/> .. <paramref name="c0"/> + 3, one counter
    /// after the other. The processor needs AVX2.
    /// </summary>
    /// <inheritdoc cref="Block"/>
    internal static unsafe void FourBlocks(uint c0, uint c1, uint c2, uint c3, uint k0, uint k1, uint* words)
    {
        // A counter's part in the lower half of each 64 bits, where the multiplication looks; above it whatever falls there.
        Vector256<ulong> a = Vector256.Create((ulong)c0) + Vector256<ulong>.Indices, b = Vector256.Create((ulong)c1), c = Vector256.Create((ulong)c2),
            d = Vector256.Create((ulong)c3);
        Vector256<uint> m0 = Vector256.Create(Multiplier0), m1 = Vector256.Create(Multiplier1);
        for (int round = 0; round < Rounds; round++)
        {
            Vector256<ulong> p0 = Avx2.Multiply(a.AsUInt32(), m0), p1 = Avx2.Multiply(c.AsUInt32(), m1);
            a = (p1 >>> 32) ^ b ^ Vector256.Create((ulong)k0);
            c = (p0 >>> 32) ^ d ^ Vector256.Create((ulong)k1);
            (b, d) = (p1, p0);
            k0 += Weyl0;
            k1 += Weyl1;
        }

        var low = Vector256.Create((ulong)uint.MaxValue);
        Vector256<ulong> first = (a & low) | (b << 32), second = (c & low) | (d << 32);
        // Counters 0 and 2, 1 and 3.
        Vector256<ulong> even = Avx2.UnpackLow(first, second), odd = Avx2.UnpackHigh(first, second);
        Vector256.Store(Avx2.Permute2x128(even, odd, 0x20).AsUInt32(), words);
        Vector256.Store(Avx2.Permute2x128(even, odd, 0x31).AsUInt32(), words + Vector256<uint>.Count);
    }
}

/// <summary>The four words of one Philox counter.</summary>
/// <param name="W0">The first word.</param>
/// <param name="W1">The second word.</param>
/// <param name="W2">The third word.</param>
/// <param name="W3">The fourth word.</param>
public readonly record struct PhiloxBlock(uint W0, uint W1, uint W2, uint W3)
{
    /// <summary>Word 0, 1, 2 or 3.</summary>
    /// <param name="index">Which; only the lowest two bits count.</param>
    public uint this[int index] => (index & 3) switch { 0 => W0, 1 => W1, 2 => W2, _ => W3 };
}
