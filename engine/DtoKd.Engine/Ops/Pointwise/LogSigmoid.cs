namespace DtoKd.Engine;

public static partial class Op
{
    /// <summary>log(1 / (1 + e^-x)), finite for every finite x.</summary>
    /// <param name="x">A float tensor of any shape.</param>
    public static Tensor LogSigmoid(Tensor x) => Pointwise.Unary("logsigmoid", x, default(LogSigmoidFormula));

    internal readonly struct LogSigmoidFormula : IUnary
    {
        public static bool SlopeOfResult => false;

        public V Value<V>(V x)
            where V : unmanaged, ILane<V> => V.Min(x, V.Of(0)) - V.Log1p(V.Exp(-V.Abs(x)));

        public V Slope<V>(V x)
            where V : unmanaged, ILane<V> => SigmoidFormula.Of(-x);
    }
}
