namespace DtoKd.Engine;

public static partial class Op
{
    /// <summary>x sigmoid(x), also called swish (Elfwing et al. 2018).</summary>
    /// <param name="x">A float tensor of any shape.</param>
    public static Tensor Silu(Tensor x) => Pointwise.UnaryWithSlope("silu", x, default(SiluFormula));

    internal readonly struct SiluFormula : IUnaryWithSlope
    {
        public V Value<V>(V x)
            where V : unmanaged, ILane<V> => x * SigmoidFormula.Of(x);

        public V ValueAndSlope<V>(V x, out V slope)
            where V : unmanaged, ILane<V>
        {
            var s = SigmoidFormula.Of(x);
            slope = V.MultiplyAdd(x * s, V.Of(1) - s, s);
            return x * s;
        }
    }
}
