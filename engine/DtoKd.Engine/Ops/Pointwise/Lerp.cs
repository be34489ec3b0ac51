namespace DtoKd.Engine;

public static partial class Op
{
    /// <summary>a + weight (b - a), element by element, with broadcasting.</summary>
    /// <param name="a">The result for weight 0.</param>
    /// <param name="b">The result for weight 1.</param>
    /// <param name="weight">Where to stand between the two.</param>
    public static Tensor Lerp(Tensor a, Tensor b, double weight) =>
        WeightedSum("lerp", a, b, new LerpFormula(weight), 1 - weight, weight);

    internal readonly struct LerpFormula(double weight) : IMap
    {
        public static int Arity => 2;

        public V Map<V>(V a, V b, V c)
            where V : unmanaged, ILane<V> => V.MultiplyAdd(V.Of(weight), b - a, a);
    }
}
