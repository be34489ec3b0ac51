namespace DtoKd.Engine;

public static partial class Op
{
    /// <summary>
    /// The binary cross entropy of p = sigmoid(logit): weight (- posWeight t log p - (1 - t) log(1 - p)), finite for every finite
    /// logit.
    /// </summary>
    /// <param name="logits">Floats of any shape.</param>
    /// <param name="targets">Probabilities t of the same shape, often 0 and 1.</param>
    /// <param name="reduction">The mean is over all elements, whatever their weight.</param>
    /// <param name="weight">A factor for each element, of a shape that broadcasts to the logits'; null for 1.</param>
    /// <param name="posWeight">A factor for the positive part, likewise; null for 1.</param>
    /// <returns>A scalar, or without reduction a tensor of the logits' shape.</returns>
    /// <exception cref="ArgumentException">The shapes or types do not fit.</exception>
    public static Tensor BceWithLogits(
        Tensor logits, Tensor targets, Reduction reduction = Reduction.Mean, Tensor? weight = null, Tensor? posWeight = null)
    {
        const string op = "bce_with_logits";
        Require.Shape(op, "target", targets, logits.Shape, logits);
        RequireBroadcast(op, "weight", weight, logits);
        RequireBroadcast(op, "posWeight", posWeight, logits);
        Tensor loss;
        if (posWeight is null)
        {
            loss = Pointwise.Binary(op, logits, targets, default(BceFormula));
        }
        else
        {
            // (1 - t) x + (1 - t + posWeight t) softplus(-x)
            var negative = Affine(targets, -1, 1);
            loss = Add(Mul(negative, logits), Mul(Add(negative, Mul(posWeight, targets)), Softplus(Neg(logits))));
        }

        return Reduce(weight is null ? loss : Mul(loss, weight), reduction, logits.Count);
    }

    /// <summary>
    /// The focal loss a (1 - p_t)^gamma ce of p = sigmoid(logit), with ce the binary cross entropy,
    /// p_t = p t + (1 - p) (1 - t) and a = alpha t + (1 - alpha) (1 - t)
    /// (Lin et al.: "Focal loss for dense object detection", 2017).
    /// </summary>
    /// <param name="logits">Floats of any shape.</param>
    /// <param name="targets">Probabilities t of the same shape, often 0 and 1.</param>
    /// <param name="alpha">The weight of positive elements; negative for a = 1.</param>
    /// <param name="gamma">How much easy elements are discounted, 0 or more.</param>
    /// <param name="reduction">The mean is over all elements.</param>
    /// <returns>A scalar, or without reduction a tensor of the logits' shape.</returns>
    /// <exception cref="ArgumentException">The shapes or types do not fit, or gamma is negative.</exception>
    public static Tensor SigmoidFocalLoss(
        Tensor logits, Tensor targets, double alpha = 0.25, double gamma = 2, Reduction reduction = Reduction.Mean)
    {
        const string op = "sigmoid_focal_loss";
        if (!(gamma >= 0))
            throw new ArgumentException($"{op}: gamma {gamma}, expected 0 or more");
        return ElementLoss(op, logits, targets, new FocalFormula(alpha, gamma), reduction);
    }

    private static void RequireBroadcast(string op, string name, Tensor? input, Tensor x)
    {
        if (input is not null && Shape.Broadcast(op, input.Shape, x.Shape) != x.Shape)
            throw new ArgumentException($"{op}: {name} of shape {input.Shape} does not broadcast to {x.Shape}");
    }

    internal readonly struct BceFormula : IBinary
    {
        public V Value<V>(V x, V t)
            where V : unmanaged, ILane<V> => V.Max(x, V.Of(0)) - (x * t) + V.Log1p(V.Exp(-V.Abs(x)));

        public V SlopeA<V>(V x, V t)
            where V : unmanaged, ILane<V> => SigmoidFormula.Of(x) - t;

        public V SlopeB<V>(V x, V t)
            where V : unmanaged, ILane<V> => -x;
    }

    /// <summary>With u = 1 - p_t: a u^gamma ce, and its slopes by the product rule.</summary>
    internal readonly struct FocalFormula(double alpha, double gamma) : IBinary
    {
        public V Value<V>(V x, V t)
            where V : unmanaged, ILane<V> => Weight(t) * Discount(U(x, t)) * default(BceFormula).Value(x, t);

        public V SlopeA<V>(V x, V t)
            where V : unmanaged, ILane<V>
        {
            V p = SigmoidFormula.Of(x), q = SigmoidFormula.Of(-x), u = U(x, t);
            return Weight(t) * Slope(x, t, u, p * q * (V.Of(1) - t - t), p - t);
        }

        public V SlopeB<V>(V x, V t)
            where V : unmanaged, ILane<V>
        {
            V p = SigmoidFormula.Of(x), u = U(x, t);
            var slope = Weight(t) * Slope(x, t, u, V.Of(1) - p - p, -x);
            return alpha < 0 ? slope : slope + (V.Of((2 * alpha) - 1) * Discount(u) * default(BceFormula).Value(x, t));
        }

        // Without a: gamma u^(gamma - 1) u' ce + u^gamma ce', where u' / u stays finite as u goes to 0.
        private V Slope<V>(V x, V t, V u, V slopeOfU, V slopeOfCe)
            where V : unmanaged, ILane<V>
        {
            var growth = V.Select(V.Equal(u, V.Of(0)), V.Of(0), slopeOfU / u);
            return Discount(u) * V.MultiplyAdd(V.Of(gamma) * growth, default(BceFormula).Value(x, t), slopeOfCe);
        }

        // 1 - p_t from both sigmoids: 1 - p would lose the digits of a small one.
        private static V U<V>(V x, V t)
            where V : unmanaged, ILane<V> => (SigmoidFormula.Of(x) * (V.Of(1) - t)) + (SigmoidFormula.Of(-x) * t);

        private V Discount<V>(V u)
            where V : unmanaged, ILane<V> => new PowScalarFormula(gamma).Value(u);

        private V Weight<V>(V t)
            where V : unmanaged, ILane<V> =>
            alpha < 0 ? V.Of(1) : V.MultiplyAdd(t, V.Of((2 * alpha) - 1), V.Of(1 - alpha));
    }
}
