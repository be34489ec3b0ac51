using DtoKd.Engine;
using DtoKd.Training.Balancing;

namespace DtoKd.Training.Verification;

/// <summary>How the two gradients of a case are drawn.</summary>
public enum CaseKind
{
    /// <summary>Gaussian, norms over four decades.</summary>
    Random,

    /// <summary>Parallel but for noise of 1e-12 to 1e-1, of any ratio of norms.</summary>
    NearParallel,

    /// <summary>Opposed, exactly or but for noise of 1e-12 to 1e-1.</summary>
    Opposed,

    /// <summary>Norms from 1e-20 to 1e+20.</summary>
    Extreme,

    /// <summary>A zero gradient, equal gradients, exactly parallel ones, equal norms.</summary>
    Degenerate,

    /// <summary>⟨g1, g2⟩ close to min(‖g1‖², ‖g2‖²), where clamping begins.</summary>
    Border,

    /// <summary>Gradients of a small network's two losses, from the tape.</summary>
    Network,
}

/// <summary>
/// One case: two losses and the raw gradients ∇L_i = L_i g_i, drawn, handed to the product (<see cref="DtoExact"/> on the Gram
/// matrix of <see cref="Flat"/>) and measured. The buffers are used again for the next case.
/// </summary>
internal sealed class PairCase
{
    private readonly double[] _raw1, _raw2;
    private readonly float[] _single1, _single2;
    private readonly NetworkGradients _networks;

    // Nothing is dropped but exact zeros: the claims are about the theorem, not about the guard around it.
    private readonly DtoExact _rule = new(2, double.Epsilon, 0);

    public PairCase(int capacity, NetworkGradients networks)
    {
        capacity = Math.Max(capacity, networks.Length);
        _raw1 = new double[capacity];
        _raw2 = new double[capacity];
        _single1 = new float[capacity];
        _single2 = new float[capacity];
        _networks = networks;
    }

    public CaseKind Kind { get; private set; }

    public bool IsSingle { get; private set; }

    public int Length { get; private set; }

    public double Loss1 { get; private set; }

    public double Loss2 { get; private set; }

    /// <summary>[Length] ∇L_1.</summary>
    public ReadOnlySpan<double> Raw1 => _raw1.AsSpan(0, Length);

    /// <summary>[Length] ∇L_2.</summary>
    public ReadOnlySpan<double> Raw2 => _raw2.AsSpan(0, Length);

    /// <summary>Draws a case of any kind.</summary>
    /// <param name="random">Where the numbers come from.</param>
    /// <param name="length">The dimension; a network's gradients have their own.</param>
    /// <param name="single">Whether the gradients are rounded to float32, as a training step has them.</param>
    public void Draw(ref CaseRandom random, int length, bool single)
    {
        Kind = (CaseKind)random.Below(7);
        IsSingle = single;
        Length = length;
        Span<double> g1 = _raw1.AsSpan(0, length), g2 = _raw2.AsSpan(0, length);
        switch (Kind)
        {
            case CaseKind.Random:
                Gaussian(ref random, g1, Decades(ref random, 2));
                Gaussian(ref random, g2, Decades(ref random, 2));
                break;
            case CaseKind.Extreme:
                Gaussian(ref random, g1, Decades(ref random, 20));
                Gaussian(ref random, g2, Decades(ref random, 20));
                break;
            case CaseKind.NearParallel:
                Along(ref random, g1, g2, Decades(ref random, 3));
                break;
            case CaseKind.Opposed:
                Along(ref random, g1, g2, -Decades(ref random, 3));
                break;
            case CaseKind.Degenerate:
                Degenerate(ref random, g1, g2);
                break;
            case CaseKind.Border:
                Border(ref random, g1, g2);
                break;
            default:
                Length = _networks.Length;
                _networks.Copy(random.Below(_networks.Count), _raw1, _raw2);
                break;
        }
        Loss1 = Decades(ref random, 3);
        Loss2 = Decades(ref random, 3);
        if (random.Below(2) == 0)
        {
            for (int i = 0; i < Length; i++)
                (_raw1[i], _raw2[i]) = (_raw2[i], _raw1[i]);
        }
        for (int i = 0; i < Length; i++)
        {
            _raw1[i] *= Loss1;
            _raw2[i] *= Loss2;
        }
        if (single)
            Round();
    }

    /// <summary>Takes given log-gradients; the losses are 1.</summary>
    public void Set(ReadOnlySpan<double> g1, ReadOnlySpan<double> g2)
    {
        Length = g1.Length;
        (Loss1, Loss2, IsSingle) = (1, 1, false);
        g1.CopyTo(_raw1);
        g2.CopyTo(_raw2);
    }

    /// <summary>Asks the product for the weights and measures what they do.</summary>
    public PairFacts Measure()
    {
        Span<double> gram = stackalloc double[4];
        if (IsSingle)
        {
            ReadOnlySpan<float> x = _single1.AsSpan(0, Length), y = _single2.AsSpan(0, Length);
            gram[0] = Flat.Dot(x, x);
            gram[1] = gram[2] = Flat.Dot(x, y);
            gram[3] = Flat.Dot(y, y);
        }
        else
        {
            gram[0] = Flat.Dot(Raw1, Raw1);
            gram[1] = gram[2] = Flat.Dot(Raw1, Raw2);
            gram[3] = Flat.Dot(Raw2, Raw2);
        }
        return Weighed(gram, Loss1, Loss2, _rule, Raw1, Raw2);
    }

    /// <summary>The weights of the product from a Gram matrix of raw gradients, measured on the vectors.</summary>
    public static PairFacts Weighed(
        ReadOnlySpan<double> gram, double loss1, double loss2, DtoExact rule, ReadOnlySpan<double> raw1, ReadOnlySpan<double> raw2)
    {
        Span<double> coefficients = stackalloc double[2], pi = stackalloc double[2];
        bool zero = IsZero(raw1) || IsZero(raw2);
        if (zero || !IsFinite(gram))
        {
            // The rule leaves a zero gradient out of the step; what the theorem says of it is MinNorm's.
            ReadOnlySpan<double> log =
            [
                gram[0] / loss1 / loss1, gram[1] / loss1 / loss2, gram[2] / loss1 / loss2, gram[3] / loss2 / loss2,
            ];
            if (IsFinite(gram))
                MinNorm.Solve(log, pi);
            else
                pi.Fill(double.NaN);
            (coefficients[0], coefficients[1]) = (pi[0] / loss1, pi[1] / loss2);
        }
        else
        {
            ReadOnlySpan<double> losses = [loss1, loss2];
            var weights = rule.Weigh(new StepSignals(losses, gram));
            weights.Pi.CopyTo(pi);
            weights.Coefficients.CopyTo(coefficients);
        }
        return Measured(raw1, raw2, loss1, loss2, coefficients[0], coefficients[1], pi[0], pi[1]);
    }

    private static PairFacts Measured(
        ReadOnlySpan<double> raw1, ReadOnlySpan<double> raw2, double loss1, double loss2,
        double k1, double k2, double pi1, double pi2)
    {
        // Block by block, so that ten million terms lose no digits to the length of the sum.
        const int Block = 4096;
        double a = 0, b = 0, c = 0, d = 0, square = 0, dot1 = 0, dot2 = 0;
        for (int from = 0; from < raw1.Length; from += Block)
        {
            int to = Math.Min(raw1.Length, from + Block);
            double pa = 0, pb = 0, pc = 0, pd = 0, ps = 0, p1 = 0, p2 = 0;
            for (int i = from; i < to; i++)
            {
                double x = raw1[i] / loss1, y = raw2[i] / loss2, mixed = k1 * raw1[i] + k2 * raw2[i];
                pa += x * x;
                pb += y * y;
                pc += x * y;
                pd += (x - y) * (x - y);
                ps += mixed * mixed;
                p1 += mixed * x;
                p2 += mixed * y;
            }
            a += pa;
            b += pb;
            c += pc;
            d += pd;
            square += ps;
            dot1 += p1;
            dot2 += p2;
        }
        double halfAngle = 0;
        if (a > 0 && b > 0)
        {
            double u = 1 / (Math.Sqrt(a) * loss1), v = 1 / (Math.Sqrt(b) * loss2), sum = 0;
            for (int from = 0; from < raw1.Length; from += Block)
            {
                int to = Math.Min(raw1.Length, from + Block);
                double part = 0;
                for (int i = from; i < to; i++)
                {
                    double s = raw1[i] * u + raw2[i] * v;
                    part += s * s;
                }
                sum += part;
            }
            halfAngle = 0.5 * Math.Sqrt(sum);
        }
        return new PairFacts
        {
            A = a, B = b, C = c, D = d, HalfAngleCosine = halfAngle,
            Pi1 = pi1, Pi2 = pi2, Norm = Math.Sqrt(square), Dot1 = dot1, Dot2 = dot2,
        };
    }

    private void Round()
    {
        for (int i = 0; i < Length; i++)
        {
            _single1[i] = (float)_raw1[i];
            _single2[i] = (float)_raw2[i];
            (_raw1[i], _raw2[i]) = (_single1[i], _single2[i]);
        }
    }

    private static double Decades(ref CaseRandom random, double decades) => Math.Pow(10, random.Uniform(-decades, decades));

    private static void Gaussian(ref CaseRandom random, Span<double> g, double size)
    {
        foreach (ref double x in g)
            x = size * random.Gaussian();
    }

    private static void Along(ref CaseRandom random, Span<double> g1, Span<double> g2, double factor)
    {
        double noise = random.Below(4) == 0 ? 0 : Math.Pow(10, random.Uniform(-12, -1));
        Gaussian(ref random, g1, 1);
        // A power of two keeps the two exactly parallel where there is no noise.
        double size = noise == 0 ? Math.CopySign(Math.ScaleB(1, random.Below(9) - 4), factor) : factor;
        for (int i = 0; i < g1.Length; i++)
            g2[i] = size * (noise == 0 ? g1[i] : g1[i] + noise * random.Gaussian());
    }

    private static void Degenerate(ref CaseRandom random, Span<double> g1, Span<double> g2)
    {
        Gaussian(ref random, g1, 1);
        int which = random.Below(4);
        if (which == 3)
        {
            // The same numbers in another order and with other signs: equal norms at any angle.
            for (int i = 0; i < g1.Length; i++)
                g2[i] = random.Below(2) == 0 ? g1[g1.Length - 1 - i] : -g1[g1.Length - 1 - i];
            return;
        }
        for (int i = 0; i < g1.Length; i++)
            g2[i] = which == 0 ? 0 : which == 1 ? g1[i] : 4 * g1[i];
    }

    private static void Border(ref CaseRandom random, Span<double> g1, Span<double> g2)
    {
        Gaussian(ref random, g1, 1);
        Gaussian(ref random, g2, Decades(ref random, 3));
        double a = 0, c = 0;
        for (int i = 0; i < g1.Length; i++)
        {
            a += g1[i] * g1[i];
            c += g1[i] * g2[i];
        }
        // g2 without its part along g1, plus 1 ± a little of g1: then ⟨g1, g2⟩ = (1 ± a little)‖g1‖² and g1 is the shorter.
        double little = Math.CopySign(Math.Pow(10, random.Uniform(-14, -1)), random.Uniform() - 0.5);
        for (int i = 0; i < g1.Length; i++)
            g2[i] += (1 + little - c / a) * g1[i];
    }

    private static bool IsZero(ReadOnlySpan<double> g) => !g.ContainsAnyExcept(0.0);

    private static bool IsFinite(ReadOnlySpan<double> gram)
    {
        foreach (double entry in gram)
        {
            if (!double.IsFinite(entry))
                return false;
        }
        return true;
    }
}
