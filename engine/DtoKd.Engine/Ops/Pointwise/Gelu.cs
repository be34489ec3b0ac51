namespace DtoKd.Engine;

/// <summary>The two formulas that go by the name of GELU.</summary>
public enum GeluForm
{
    /// <summary>x Phi(x) with the error function: the definition, and what ViT, DeiT and Swin use.</summary>
    Erf,

    /// <summary>An approximation by tanh, within 5e-4 of the other.</summary>
    Tanh,
}

public static partial class Op
{
    /// <summary>
    /// x Phi(x), Phi being the distribution function of the standard normal distribution (Hendrycks and Gimpel 2016):
    /// x/2 (1 + erf(x / sqrt(2))), or by tanh x/2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))).
    /// </summary>
    /// <param name="x">A float tensor of any shape.</param>
    /// <param name="form">The exact formula or the approximation.</param>
    public static Tensor Gelu(Tensor x, GeluForm form = GeluForm.Erf) =>
        form == GeluForm.Erf
            ? Pointwise.UnaryWithSlope("gelu", x, default(GeluFormula))
            : Pointwise.UnaryWithSlope("gelu", x, default(GeluTanhFormula));

    internal readonly struct GeluFormula : IUnaryWithSlope
    {
        // 1 / sqrt(2 pi)
        private const double InverseRoot2Pi = 0.398942280401432678;

        public V Value<V>(V x)
            where V : unmanaged, ILane<V> => x * V.Phi(x, out _);

        public V ValueAndSlope<V>(V x, out V slope)
            where V : unmanaged, ILane<V>
        {
            var phi = V.Phi(x, out var bell);
            slope = V.MultiplyAdd(x * V.Of(InverseRoot2Pi), bell, phi);
            return x * phi;
        }
    }

    internal readonly struct GeluTanhFormula : IUnaryWithSlope
    {
        // sqrt(2 / pi), and with it 0.044715 of the cubic term
        private const double Linear = 0.797884560802865356;
        private const double Cubic = 0.0356774081363001;

        public V Value<V>(V x)
            where V : unmanaged, ILane<V> => ValueAndSlope(x, out _);

        public V ValueAndSlope<V>(V x, out V slope)
            where V : unmanaged, ILane<V>
        {
            var t = V.Tanh(Inner(x));
            var half = x * V.Of(0.5);
            var innerSlope = V.MultiplyAdd(x * x, V.Of(3 * Cubic), V.Of(Linear));
            slope = V.MultiplyAdd(half * innerSlope, (V.Of(1) - t) * (V.Of(1) + t), V.MultiplyAdd(V.Of(0.5), t, V.Of(0.5)));
            return V.MultiplyAdd(half, t, half);
        }

        private static V Inner<V>(V x)
            where V : unmanaged, ILane<V> => x * V.MultiplyAdd(x * x, V.Of(Cubic), V.Of(Linear));
    }
}
