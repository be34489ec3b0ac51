using System.Runtime.Intrinsics.X86;
using System.Text;

namespace DtoKd.Engine;

/// <summary>
/// Random numbers without a state: each is a function of (seed, stream, step, element) alone. So they do not depend on the order
/// of the calls, the number of threads or the device, and a resumed run needs no generator to be restored.
/// </summary>
/// <remarks>
/// The seed is Philox's key; the counter is (element / 4, stream, step), and the element's lowest two bits choose the word. Two
/// streams that differ in any part never share a counter. Logarithm, sine and cosine are the platform's, so normal numbers
/// may differ in the last bit between operating systems; integers and uniform numbers do not.
/// </remarks>
/// <param name="seed">The run's seed.</param>
/// <param name="stream">What the numbers are for: one per parameter, layer or data set (<see cref="StreamOf"/>).</param>
/// <param name="step">The training step, epoch, or 0.</param>
public readonly struct PhiloxStream(ulong seed, uint stream, ulong step)
{
    /// <summary>Elements of one (seed, stream, step); asking for a later one throws.</summary>
    public const ulong MaxElements = 1UL << 34;

    // Less than this part of the normal distribution inside the bounds would need the far tails of its inverse.
    private const double LeastMass = 0.125;

    // Words of four counters.
    private const int FourBlocks = 16;

    private const double Unit24 = 1.0 / (1 << 24);
    private const double Unit32 = 1.0 / (1L << 32);

    /// <summary>A stream number for a name, for example a parameter's: FNV-1a (32 bits) of its UTF-8 bytes.</summary>
    /// <param name="name">Any text.</param>
    /// <returns>The hash.</returns>
    public static uint StreamOf(string name)
    {
        uint hash = 2166136261;
        foreach (byte b in Encoding.UTF8.GetBytes(name))
            hash = (hash ^ b) * 16777619;
        return hash;
    }

    /// <summary>An integer, uniform over 32 bits.</summary>
    /// <param name="element">Which one, below <see cref="MaxElements"/>.</param>
    /// <returns>The number.</returns>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="element"/> is too large.</exception>
    public uint UInt32(ulong element) => Block(element)[(int)element];

    /// <summary>A multiple of 2^-24 in [0, 1).</summary>
    /// <inheritdoc cref="UInt32"/>
    public float Uniform(ulong element) => Uniform(Block(element), (int)element);

    /// <summary>A number of the standard normal distribution, by Box and Muller's transform in double precision.</summary>
    /// <inheritdoc cref="UInt32"/>
    public float Normal(ulong element) => (float)Normal(Block(element), (int)element);

    /// <summary>An integer in [0, <paramref name="bound"/>): the upper half of a product, its bias below bound / 2^32.</summary>
    /// <param name="element">Which one, below <see cref="MaxElements"/>.</param>
    /// <param name="bound">How many values there are; at least 1.</param>
    /// <returns>The number.</returns>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="element"/> is too large.</exception>
    public uint Below(ulong element, uint bound) => (uint)((ulong)UInt32(element) * bound >> 32);

    /// <summary>Fills with <see cref="UInt32"/> of elements first, first + 1, ...</summary>
    /// <param name="destination">Takes the numbers.</param>
    /// <param name="first">The element of the first one.</param>
    public unsafe void FillUInt32(Span<uint> destination, ulong first = 0)
    {
        for (int i = 0; i < destination.Length;)
        {
            ulong element = first + (ulong)i;
            if (Avx2.IsSupported && element % 4 == 0 && destination.Length - i >= FourBlocks)
            {
                Refuse(element + FourBlocks - 1);
                fixed (uint* words = &destination[i])
                    Philox.FourBlocks((uint)(element >> 2), stream, (uint)step, (uint)(step >> 32), (uint)seed, (uint)(seed >> 32), words);
                i += FourBlocks;
                continue;
            }

            var block = Block(element);
            for (int word = (int)element & 3; word < 4 && i < destination.Length; word++, i++)
                destination[i] = block[word];
        }
    }

    /// <summary>Fills with numbers uniform in [low, high), from <see cref="Uniform(ulong)"/> of first, first + 1, ...</summary>
    /// <param name="destination">Takes the numbers.</param>
    /// <param name="low">The lower end.</param>
    /// <param name="high">The upper end.</param>
    /// <param name="first">The element of the first one.</param>
    public void FillUniform(Span<float> destination, float low = 0, float high = 1, ulong first = 0)
    {
        for (int i = 0; i < destination.Length;)
        {
            var block = Block(first + (ulong)i);
            for (int word = (int)(first + (ulong)i) & 3; word < 4 && i < destination.Length; word++, i++)
                destination[i] = low + (high - low) * Uniform(block, word);
        }
    }

    /// <summary>Fills with normal numbers, from <see cref="Normal(ulong)"/> of elements first, first + 1, ...</summary>
    /// <param name="destination">Takes the numbers.</param>
    /// <param name="mean">Their mean.</param>
    /// <param name="std">Their standard deviation.</param>
    /// <param name="first">The element of the first one.</param>
    public void FillNormal(Span<float> destination, float mean = 0, float std = 1, ulong first = 0)
    {
        for (int i = 0; i < destination.Length;)
        {
            var block = Block(first + (ulong)i);
            for (int word = (int)(first + (ulong)i) & 3; word < 4 && i < destination.Length; word++, i++)
                destination[i] = (float)(mean + std * Normal(block, word));
        }
    }

    /// <summary>
    /// Fills with numbers of the normal distribution under the condition that they lie in [a, b], one draw each: the inverse
    /// distribution function of a uniform number between the bounds' probabilities. As in PyTorch and timm, the bounds are
    /// values, not multiples of the standard deviation.
    /// </summary>
    /// <param name="destination">Takes the numbers.</param>
    /// <param name="mean">Mean of the normal distribution before it is cut.</param>
    /// <param name="std">Its standard deviation, positive.</param>
    /// <param name="a">The least value.</param>
    /// <param name="b">The largest value.</param>
    /// <param name="first">The element of the first one.</param>
    /// <exception cref="ArgumentException">Less than an eighth of the distribution lies in [a, b].</exception>
    public void FillTruncatedNormal(Span<float> destination, float mean, float std, float a, float b, ulong first = 0)
    {
        double low = NormalDistribution.Cumulative(((double)a - mean) / std);
        double mass = NormalDistribution.Cumulative(((double)b - mean) / std) - low;
        // Written so that NaN is refused too.
        if (!(std > 0 && mass >= LeastMass))
            throw new ArgumentException($"[{a}, {b}] holds less than {LeastMass} of a normal distribution ({mean}, {std})");
        for (int i = 0; i < destination.Length;)
        {
            var block = Block(first + (ulong)i);
            for (int word = (int)(first + (ulong)i) & 3; word < 4 && i < destination.Length; word++, i++)
            {
                double z = NormalDistribution.Quantile(low + mass * ((block[word] + 0.5) * Unit32));
                destination[i] = Math.Clamp((float)(mean + std * z), a, b);
            }
        }
    }

    private static float Uniform(PhiloxBlock block, int word) => (float)((block[word] >> 8) * Unit24);

    /// <summary>Words 0 and 1 make two normal numbers, words 2 and 3 two more.</summary>
    private static double Normal(PhiloxBlock block, int word)
    {
        // Half a unit up, so that the logarithm never sees zero.
        double radius = Math.Sqrt(-2 * Math.Log((block[word & 2] + 0.5) * Unit32));
        double angle = 2 * Math.PI * (block[word & 2 | 1] * Unit32);
        return radius * ((word & 1) == 0 ? Math.Cos(angle) : Math.Sin(angle));
    }

    private static void Refuse(ulong element) => ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(element, MaxElements);

    private PhiloxBlock Block(ulong element)
    {
        Refuse(element);
        return BlockOf((uint)(element >> 2));
    }

    /// <summary>The numbers of elements 4 <paramref name="block"/> .. 4 <paramref name="block"/> + 3, for kernels too: they throw nothing.</summary>
    internal PhiloxBlock BlockOf(uint block) =>
        Philox.Block(block, stream, (uint)step, (uint)(step >> 32), (uint)seed, (uint)(seed >> 32));
}
