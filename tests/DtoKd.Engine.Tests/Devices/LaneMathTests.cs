using DtoKd.Engine.Cpu;

namespace DtoKd.Engine.Tests.Devices;

/// <summary>The elementary functions of every lane type against double precision, as LaneMath's comments state.</summary>
public class LaneMathTests
{
    private static readonly Dictionary<string, Case> _functions = new()
    {
        ["exp"] = new(default(ExpOf), Math.Exp, -87.3, 88.7, 1),
        ["expm1"] = new(default(Expm1Of), LaneMath.Expm1, -30, 88.7, 1.5),
        ["log"] = new(default(LogOf), Math.Log, 1.2e-38, 3.4e38, 1),
        ["log1p"] = new(default(Log1pOf), LaneMath.Log1p, -0.99999994, 3.4e38, 1.5),
        ["tanh"] = new(default(TanhOf), Math.Tanh, -12, 12, 1.5),
        ["erf"] = new(default(ErfOf), LaneMath.Erf, -6, 6, 1.5),
        ["sin"] = new(default(SinOf), Math.Sin, -4e6, 4e6, 2),
        ["cos"] = new(default(CosOf), Math.Cos, -4e6, 4e6, 2),
        ["phi"] = new(default(PhiOf), x => 0.5 + (0.5 * LaneMath.Erf(x / Math.Sqrt(2))), 0, 13, 4),
        ["atan"] = new(default(AtanOf), Math.Atan, -3.4e38, 3.4e38, 2.5),
    };

    public static TheoryData<string> Functions => [.. _functions.Keys];

    [Theory]
    [MemberData(nameof(Functions))]
    public void The_error_stays_within_the_stated_ulps(string name)
    {
        var (function, exact, low, high, ulps) = _functions[name];
        var x = Samples(low, high);
        var y = Run<Lane256>(function, x);
        double worst = 0;
        float at = 0;
        for (int i = 0; i < x.Length; i++)
        {
            double error = Ulps(y[i], exact(x[i]));
            if (error > worst)
                (worst, at) = (error, x[i]);
        }

        Assert.True(worst <= ulps, $"{name}: {worst:f3} ulps at {at:r}, allowed {ulps}");
    }

    [Theory]
    [MemberData(nameof(Functions))]
    public void Every_vector_width_gives_the_same_bits(string name)
    {
        var (function, _, low, high, _) = _functions[name];
        float[] x = [.. Samples(low, high), .. _special];
        var bits = Bits(Run<Lane256>(function, x));
        Assert.Equal(bits, Bits(Run<Lane512>(function, x)));
        Assert.Equal(bits, Bits(Run<LaneVector>(function, x)));
    }

    [Fact]
    public unsafe void The_exponential_of_a_negative_number_is_within_one_ulp_and_zero_where_it_leaves_the_normal_range()
    {
        float[] x = [.. Samples(-87, 0), -87.01f, float.NegativeInfinity, float.NaN, 0, -0f];
        float* block = stackalloc float[Lane256.Width];
        foreach (float value in x)
        {
            Lane256.Store(LaneMath.ExpOfNegative(Lane256.Broadcast(value)), block);
            double expected = value < -87 ? 0 : Math.Exp(value);
            Assert.True(expected.Equals(block[0]) || Ulps(block[0], expected) <= 1, $"exp({value:r}) is {block[0]:r}");
        }
    }

    [Fact]
    public unsafe void A_power_of_two_up_to_one_is_within_one_ulp_and_zero_where_it_leaves_the_normal_range()
    {
        float[] x = [.. Samples(-125.5f, 0), -125.51f, float.NegativeInfinity, float.NaN, 0, -0f, -1, -125];
        float* block = stackalloc float[Lane256.Width];
        foreach (float value in x)
        {
            Lane256.Store(LaneMath.Exp2OfNegative(Lane256.Broadcast(value)), block);
            double expected = value < -125.5f ? 0 : Math.Pow(2, value);
            Assert.True(expected.Equals(block[0]) || Ulps(block[0], expected) <= 1, $"2^{value:r} is {block[0]:r}");
        }
    }

    [Theory]
    [InlineData("exp", 0f, 1f)]
    [InlineData("exp", float.PositiveInfinity, float.PositiveInfinity)]
    [InlineData("exp", 88.73f, float.PositiveInfinity)]
    [InlineData("exp", float.NegativeInfinity, 0f)]
    [InlineData("exp", -104f, 0f)]
    [InlineData("exp", -103f, 1e-45f)]
    [InlineData("exp", -95f, 5.521e-42f)]
    [InlineData("expm1", 0f, 0f)]
    [InlineData("expm1", 1e-30f, 1e-30f)]
    [InlineData("expm1", float.Epsilon, float.Epsilon)]
    [InlineData("expm1", float.PositiveInfinity, float.PositiveInfinity)]
    [InlineData("expm1", float.NegativeInfinity, -1f)]
    [InlineData("log", 1f, 0f)]
    [InlineData("log", 0f, float.NegativeInfinity)]
    [InlineData("log", float.Epsilon, -103.27893f)]
    [InlineData("log", float.PositiveInfinity, float.PositiveInfinity)]
    [InlineData("log", -1f, float.NaN)]
    [InlineData("log", float.NegativeInfinity, float.NaN)]
    [InlineData("log1p", 0f, 0f)]
    [InlineData("log1p", 1e-30f, 1e-30f)]
    [InlineData("log1p", float.Epsilon, float.Epsilon)]
    [InlineData("log1p", -1f, float.NegativeInfinity)]
    [InlineData("log1p", -1.5f, float.NaN)]
    [InlineData("log1p", float.PositiveInfinity, float.PositiveInfinity)]
    [InlineData("tanh", 0f, 0f)]
    [InlineData("tanh", float.Epsilon, float.Epsilon)]
    [InlineData("tanh", float.PositiveInfinity, 1f)]
    [InlineData("tanh", float.NegativeInfinity, -1f)]
    [InlineData("tanh", 1e30f, 1f)]
    [InlineData("erf", 0f, 0f)]
    [InlineData("erf", 1e30f, 1f)]
    [InlineData("erf", float.NegativeInfinity, -1f)]
    [InlineData("sin", 0f, 0f)]
    [InlineData("sin", float.PositiveInfinity, float.NaN)]
    [InlineData("sin", 1e7f, float.NaN)]
    [InlineData("cos", 0f, 1f)]
    [InlineData("cos", float.NegativeInfinity, float.NaN)]
    [InlineData("atan", 0f, 0f)]
    [InlineData("atan", float.PositiveInfinity, 1.57079637f)]
    [InlineData("atan", float.NegativeInfinity, -1.57079637f)]
    public void Special_values_are_right(string name, float x, float expected)
    {
        float y = Run<Lane256>(_functions[name].Function, [x])[0];
        bool same = y.Equals(expected) || Math.Abs(y - expected) <= 2e-7f * Math.Abs(expected);
        Assert.True(same, $"{name}({x:r}) is {y:r}, not {expected:r}");
    }

    [Theory]
    [MemberData(nameof(Functions))]
    public void NaN_stays_NaN(string name) => Assert.True(float.IsNaN(Run<Lane256>(_functions[name].Function, [float.NaN])[0]));

    [Fact]
    public void The_normal_distribution_function_stays_within_the_stated_error()
    {
        var x = Samples(-13, 13);
        var y = Run<Lane256>(default(PhiOf), x);
        for (int i = 0; i < x.Length; i++)
        {
            double exact = Tail(Math.Abs((double)x[i])), allowed = 4e-7 * Math.Min(1, exact * (1 + ((double)x[i] * x[i] / 2)));
            if (x[i] > 0)
                (exact, allowed) = (1 - exact, 4e-7);
            Assert.True(Math.Abs(y[i] - exact) <= allowed, $"Phi({x[i]:r}) is {y[i]:r}, not {exact:r}");
        }

        // 1 - Phi(t): what the error function leaves while that keeps digits, a continued fraction (Laplace 1805) beyond.
        static double Tail(double t)
        {
            if (t < 3)
                return 0.5 - (0.5 * LaneMath.Erf(t / Math.Sqrt(2)));
            double fraction = t;
            for (int i = 60; i > 0; i--)
                fraction = t + (i / fraction);
            return Math.Exp(-0.5 * t * t) / (Math.Sqrt(2 * Math.PI) * fraction);
        }
    }

    [Theory]
    [InlineData(0.5, 0.5204998778130465)]
    [InlineData(1, 0.8427007929497149)]
    [InlineData(2.5, 0.999593047982555)]
    [InlineData(-5.5, -0.9999999999999927)]
    public void The_error_function_in_double_equals_tabulated_values(double x, double expected) =>
        Assert.Equal(expected, LaneMath.Erf(x), 2e-15);

    [Fact]
    public void Expm1_and_log1p_in_double_keep_the_digits_of_small_arguments()
    {
        Assert.Equal(1.000000000050000e-10, LaneMath.Expm1(1e-10), 1e-25);
        Assert.Equal(0.999999999950000e-10, LaneMath.Log1p(1e-10), 1e-25);
        Assert.Equal(Math.E - 1, LaneMath.Expm1(1), 1e-15);
        Assert.Equal(-1, LaneMath.Expm1(double.NegativeInfinity));
        Assert.Equal(double.NegativeInfinity, LaneMath.Log1p(-1));
    }

    private static readonly float[] _special =
    [
        0f, -0f, float.Epsilon, -float.Epsilon, 1e-40f, float.MaxValue, float.MinValue, float.PositiveInfinity,
        float.NegativeInfinity, float.NaN, 1f, -1f, 0.625f, 0.97f, 0.414213562f, 2.41421356f,
    ];

    // Evenly over the range where it is narrow, over the bit patterns within it, and around the points where formulas change.
    private static float[] Samples(double low, double high)
    {
        var samples = new List<float>();
        double middle = Math.Min(high, 30), first = Math.Max(low, -30);
        for (int i = 0; i <= 200_000; i++)
            samples.Add((float)(first + ((middle - first) * i / 200_000)));
        for (uint bits = 0; bits < 0x7F800000; bits += 9973)
        {
            samples.Add(BitConverter.UInt32BitsToSingle(bits));
            samples.Add(-BitConverter.UInt32BitsToSingle(bits));
        }

        foreach (float centre in (ReadOnlySpan<float>)[0.625f, 0.97f, 1f, 0.414213562f, 2.41421356f, 0.34657359f, 1.0397208f, 4f])
        {
            int bits = BitConverter.SingleToInt32Bits(centre);
            for (int i = -2000; i <= 2000; i++)
            {
                samples.Add(BitConverter.Int32BitsToSingle(bits + i));
                samples.Add(-BitConverter.Int32BitsToSingle(bits + i));
            }
        }

        samples.RemoveAll(x => x < low || x > high || (x != 0 && Math.Abs(x) < 1.2e-38));
        return [.. samples];
    }

    // The distance of a float from the true value, in units of the last place of a float of the true value's size.
    private static double Ulps(float actual, double expected)
    {
        if (double.IsNaN(expected) || float.IsNaN(actual))
            return double.IsNaN(expected) && float.IsNaN(actual) ? 0 : double.PositiveInfinity;
        double size = Math.Max(Math.Abs(expected), 1.17549435e-38);
        return Math.Abs(actual - expected) / Math.Pow(2, Math.Floor(Math.Log2(size)) - 23);
    }

    private static uint[] Bits(float[] values) =>
        Array.ConvertAll(values, value => float.IsNaN(value) ? uint.MaxValue : BitConverter.SingleToUInt32Bits(value));

    private static unsafe float[] Run<V>(ILaneFunction function, float[] x)
        where V : unmanaged, IFloatLane<V>
    {
        var y = new float[x.Length];
        float* block = stackalloc float[V.Width];
        for (int start = 0; start < x.Length; start += V.Width)
        {
            int count = Math.Min(V.Width, x.Length - start);
            for (int i = 0; i < V.Width; i++)
                block[i] = x[start + Math.Min(i, count - 1)];
            V.Store(function.Of(V.Load(block)), block);
            for (int i = 0; i < count; i++)
                y[start + i] = block[i];
        }

        return y;
    }

    private readonly record struct Case(ILaneFunction Function, Func<double, double> True, double Low, double High, double Ulps);

    private interface ILaneFunction
    {
        V Of<V>(V x)
            where V : unmanaged, ILane<V>;
    }

    private readonly struct ExpOf : ILaneFunction
    {
        public V Of<V>(V x)
            where V : unmanaged, ILane<V> => V.Exp(x);
    }

    private readonly struct Expm1Of : ILaneFunction
    {
        public V Of<V>(V x)
            where V : unmanaged, ILane<V> => V.Expm1(x);
    }

    private readonly struct LogOf : ILaneFunction
    {
        public V Of<V>(V x)
            where V : unmanaged, ILane<V> => V.Log(x);
    }

    private readonly struct Log1pOf : ILaneFunction
    {
        public V Of<V>(V x)
            where V : unmanaged, ILane<V> => V.Log1p(x);
    }

    private readonly struct TanhOf : ILaneFunction
    {
        public V Of<V>(V x)
            where V : unmanaged, ILane<V> => V.Tanh(x);
    }

    private readonly struct ErfOf : ILaneFunction
    {
        public V Of<V>(V x)
            where V : unmanaged, ILane<V> => V.Erf(x);
    }

    private readonly struct PhiOf : ILaneFunction
    {
        public V Of<V>(V x)
            where V : unmanaged, ILane<V> => V.Phi(x, out _);
    }

    private readonly struct SinOf : ILaneFunction
    {
        public V Of<V>(V x)
            where V : unmanaged, ILane<V> => V.Sin(x);
    }

    private readonly struct CosOf : ILaneFunction
    {
        public V Of<V>(V x)
            where V : unmanaged, ILane<V> => V.Cos(x);
    }

    private readonly struct AtanOf : ILaneFunction
    {
        public V Of<V>(V x)
            where V : unmanaged, ILane<V> => V.Atan(x);
    }
}
