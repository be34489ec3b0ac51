using FsCheck.Xunit;

namespace DtoKd.Engine.Tests;

public class PhiloxTests
{
    [Theory]
    [InlineData(0u, 0u, 0u, 0u, 0u, 0u, 0x6627e8d5u, 0xe169c58du, 0xbc57ac4cu, 0x9b00dbd8u)]
    [InlineData(~0u, ~0u, ~0u, ~0u, ~0u, ~0u, 0x408f276du, 0x41c83b0eu, 0xa20bc7c6u, 0x6d5451fdu)]
    [InlineData(0x243f6a88u, 0x85a308d3u, 0x13198a2eu, 0x03707344u, 0xa4093822u, 0x299f31d0u,
        0xd16cfe09u, 0x94fdccebu, 0x5001e420u, 0x24126ea1u)]
    public void Gives_the_known_answers_of_Random123(
        uint c0, uint c1, uint c2, uint c3, uint k0, uint k1, uint w0, uint w1, uint w2, uint w3) =>
        Assert.Equal(new PhiloxBlock(w0, w1, w2, w3), Philox.Block(c0, c1, c2, c3, k0, k1));

    [Fact]
    public void A_stream_puts_seed_element_stream_and_step_into_key_and_counter()
    {
        // The third known answer, taken apart: block 0x243f6a88, stream 0x85a308d3, step 0x0370734413198a2e.
        var stream = new PhiloxStream(0x299f31d0a4093822, 0x85a308d3, 0x0370734413198a2e);
        ulong first = 0x243f6a88UL * 4;
        Assert.Equal(
            [0xd16cfe09u, 0x94fdccebu, 0x5001e420u, 0x24126ea1u],
            Enumerable.Range(0, 4).Select(i => stream.UInt32(first + (ulong)i)));
    }

    [Fact]
    public void Elements_beyond_the_counter_are_refused_instead_of_repeating()
    {
        var stream = new PhiloxStream(1, 2, 3);
        stream.UInt32(PhiloxStream.MaxElements - 1);
        Assert.Throws<ArgumentOutOfRangeException>(() => stream.UInt32(PhiloxStream.MaxElements));
    }

    [Fact]
    public void Filling_ends_where_the_counter_does()
    {
        var stream = new PhiloxStream(1, 2, 3);
        var words = new uint[40];
        ulong first = PhiloxStream.MaxElements - 40;
        stream.FillUInt32(words, first);
        Assert.Equal(Enumerable.Range(0, 40).Select(i => stream.UInt32(first + (ulong)i)), words);
        Assert.Throws<ArgumentOutOfRangeException>(() => stream.FillUInt32(words, first + 4));
        Assert.Throws<ArgumentOutOfRangeException>(() => stream.FillUInt32(words, first + 1));
    }

    [Theory]
    [InlineData("", 0x811c9dc5u)]
    [InlineData("a", 0xe40c292cu)]
    [InlineData("foobar", 0xbf9cf968u)]
    public void Streams_of_names_are_the_published_FNV_hashes(string name, uint hash) =>
        Assert.Equal(hash, PhiloxStream.StreamOf(name));

    [Property]
    public void Filling_equals_asking_for_each_element_wherever_it_starts(
        ulong seed, uint streamId, ulong step, byte length, uint first)
    {
        var stream = new PhiloxStream(seed, streamId, step);
        var words = new uint[length];
        var uniform = new float[length];
        var normal = new float[length];
        stream.FillUInt32(words, first);
        stream.FillUniform(uniform, first: first);
        stream.FillNormal(normal, first: first);
        for (int i = 0; i < length; i++)
        {
            Assert.Equal(stream.UInt32(first + (ulong)i), words[i]);
            Assert.Equal(stream.Uniform(first + (ulong)i), uniform[i]);
            Assert.Equal(stream.Normal(first + (ulong)i), normal[i]);
        }
    }

    [Fact]
    public void Uniform_numbers_are_multiples_of_2_to_the_minus_24_below_one()
    {
        var stream = new PhiloxStream(7, 0, 0);
        for (ulong i = 0; i < 10_000; i++)
        {
            float u = stream.Uniform(i);
            Assert.InRange(u, 0f, 1f - 1f / (1 << 24));
            Assert.Equal(u * (1 << 24), MathF.Floor(u * (1 << 24)));
            Assert.Equal(stream.UInt32(i) >> 8, (uint)(u * (1 << 24)));
        }
    }

    [Fact]
    public void Uniform_numbers_fill_their_range_evenly()
    {
        // 100 cells of 2,000: chi-square with 99 degrees of freedom is below 148.2 with probability 0.999.
        var values = new float[200_000];
        new PhiloxStream(11, 3, 5).FillUniform(values, -2, 3);
        var cells = new int[100];
        foreach (float v in values)
            cells[(int)((v + 2) * 20)]++;
        Assert.InRange(cells.Sum(c => (c - 2000.0) * (c - 2000.0) / 2000), 50, 148.2);
    }

    [Fact]
    public void Normal_numbers_have_the_moments_and_quantiles_of_their_distribution()
    {
        const int n = 400_000;
        var values = new float[n];
        new PhiloxStream(13, 1, 0).FillNormal(values, 2, 3);
        var z = values.Select(v => (v - 2) / 3.0).ToArray();
        // Four standard errors each: 1/sqrt(n), sqrt(2/n), sqrt(15/n), sqrt(96/n).
        Assert.InRange(z.Average(), -4 / Math.Sqrt(n), 4 / Math.Sqrt(n));
        Assert.InRange(z.Average(v => v * v) - 1, -4 * Math.Sqrt(2.0 / n), 4 * Math.Sqrt(2.0 / n));
        Assert.InRange(z.Average(v => v * v * v), -4 * Math.Sqrt(15.0 / n), 4 * Math.Sqrt(15.0 / n));
        Assert.InRange(z.Average(v => v * v * v * v) - 3, -4 * Math.Sqrt(96.0 / n), 4 * Math.Sqrt(96.0 / n));
        // Probability below -3, -1 and 2 from a table; four standard errors.
        foreach (var (x, p) in new[] { (-3, 0.0013498980), (-1, 0.1586552539), (2, 0.9772498681) })
            Assert.Equal(p, z.Count(v => v < x) / (double)n, 4 * Math.Sqrt(p * (1 - p) / n));
        // Neighbours come from one block; they must not know of each other.
        double correlation = z.Zip(z.Skip(1), (a, b) => a * b).Average();
        Assert.InRange(correlation, -4 / Math.Sqrt(n), 4 / Math.Sqrt(n));
    }

    [Theory]
    [InlineData("seed")]
    [InlineData("stream")]
    [InlineData("step")]
    public void Neighbouring_streams_are_uncorrelated(string what)
    {
        const int n = 100_000;
        float[] a = new float[n], b = new float[n];
        new PhiloxStream(5, 5, 5).FillNormal(a);
        new PhiloxStream(what == "seed" ? 6u : 5u, what == "stream" ? 6u : 5u, what == "step" ? 6u : 5u).FillNormal(b);
        Assert.InRange(a.Zip(b, (x, y) => (double)x * y).Average(), -4 / Math.Sqrt(n), 4 / Math.Sqrt(n));
    }

    [Fact]
    public void Bounded_integers_reach_every_value_equally()
    {
        var stream = new PhiloxStream(17, 0, 0);
        var counts = new int[7];
        for (ulong i = 0; i < 70_000; i++)
            counts[stream.Below(i, 7)]++;
        // Six degrees of freedom: below 22.5 with probability 0.999.
        Assert.InRange(counts.Sum(c => (c - 1e4) * (c - 1e4) / 1e4), 0, 22.5);
        Assert.Equal(0u, stream.Below(3, 1));
    }

    [Fact]
    public void Truncated_normal_numbers_stay_inside_and_follow_the_conditional_distribution()
    {
        const int n = 200_000;
        var values = new float[n];
        new PhiloxStream(19, 0, 0).FillTruncatedNormal(values, 0.5f, 1, -0.5f, 2.5f);
        Assert.All(values, v => Assert.InRange(v, -0.5f, 2.5f));
        // P(Z in [-1, 2]) = 0.8185946141; P(Z in [-1, 0]) = 0.3413447461; mean = (phi(-1) - phi(2)) / 0.8185946141 + 0.5.
        Assert.Equal(0.3413447461 / 0.8185946141, values.Count(v => v < 0.5f) / (double)n, 4 * Math.Sqrt(0.25 / n));
        Assert.Equal((0.2419707245 - 0.0539909665) / 0.8185946141 + 0.5, values.Average(v => (double)v), 4 / Math.Sqrt(n));
    }

    [Fact]
    public void Wide_bounds_leave_the_normal_distribution_as_it_is()
    {
        // timm's default: std 0.02, bounds -2 and 2, a hundred standard deviations away.
        const int n = 100_000;
        var values = new float[n];
        new PhiloxStream(23, 0, 0).FillTruncatedNormal(values, 0, 0.02f, -2, 2);
        Assert.Equal(0.0004, values.Average(v => (double)v * v), 4 * 0.0004 * Math.Sqrt(2.0 / n));
        Assert.InRange(values.Max(), 0.07f, 0.14f);
    }

    [Theory]
    [InlineData(0, 1, 3, 4)]
    [InlineData(0, 1, 1, -1)]
    [InlineData(0, 0, -1, 1)]
    [InlineData(0, -1, -1, 1)]
    [InlineData(float.NaN, 1, -1, 1)]
    public void Truncation_that_leaves_almost_nothing_is_refused(float mean, float std, float a, float b) =>
        Assert.Throws<ArgumentException>(() => new PhiloxStream(1, 1, 1).FillTruncatedNormal(new float[1], mean, std, a, b));

    [Theory]
    [InlineData(1e-10, -6.361340902404056)]
    [InlineData(0.001, -3.090232306167813)]
    [InlineData(0.0749, -1.4402382675279632)]
    [InlineData(0.0751, -1.4388253927525398)]
    [InlineData(0.3, -0.5244005127080407)]
    [InlineData(0.5, 0.0)]
    [InlineData(0.8, 0.8416212335729144)]
    [InlineData(0.999999, 4.753424308817089)]
    public void Quantiles_are_those_of_Python_statistics(double p, double z) =>
        Assert.Equal(z, NormalDistribution.Quantile(p), 1e-14 * Math.Max(1, Math.Abs(z)));

    [Theory]
    [InlineData(-8, 6.106226635438361e-16)]
    [InlineData(-3, 0.0013498980316301035)]
    [InlineData(-1, 0.15865525393145707)]
    [InlineData(0, 0.5)]
    [InlineData(0.5, 0.6914624612740131)]
    [InlineData(2, 0.9772498680518208)]
    [InlineData(5, 0.9999997133484282)]
    [InlineData(8.9, 1.0)]
    public void Probabilities_are_those_of_Python_statistics(double x, double p) =>
        Assert.Equal(p, NormalDistribution.Cumulative(x), 2e-15);
}
