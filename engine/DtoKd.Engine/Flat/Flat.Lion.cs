using System.Numerics;

namespace DtoKd.Engine;

/// <summary>The numbers of one Lion step.</summary>
/// <param name="LearningRate">The step size.</param>
/// <param name="Beta1">The share of the momentum in the direction.</param>
/// <param name="Beta2">The decay of the momentum.</param>
/// <param name="WeightDecay">The decay of the weights, multiplied by the learning rate.</param>
public readonly record struct LionStep(double LearningRate, double Beta1, double Beta2, double WeightDecay);

public static unsafe partial class Flat
{
    /// <summary>
    /// One step of Lion (Chen et al. 2023, "Symbolic discovery of optimization algorithms", algorithm 2) over a range, in one
    /// pass: w *= 1 - lr wd; w -= lr sign(b1 m + (1 - b1) g); m = b2 m + (1 - b2) g. The sign of zero is zero.
    /// </summary>
    /// <param name="weights">The parameters, flat.</param>
    /// <param name="gradient">Their gradient, flat.</param>
    /// <param name="scale">Multiplied with the gradient first: what is left of it after clipping.</param>
    /// <param name="momentum">The momentum m, flat, zero at first.</param>
    /// <param name="range">What to update.</param>
    /// <param name="step">The numbers of this step.</param>
    /// <exception cref="ArgumentException">The buffers differ in length or type, or the range is not inside them.</exception>
    public static void Lion(Tensor weights, Tensor gradient, GradScale scale, Tensor momentum, FlatRange range, LionStep step)
    {
        RequireUpdate(range, weights, gradient, momentum);
        if (!weights.Device.IsHost)
        {
            Gpu.FlatGpu.Update(new Gpu.LionRule(step), scale, range, weights, gradient, momentum);
            return;
        }

        var pieces = Pieces([range]);
        ForEach(weights, pieces.Count, piece =>
        {
            if (weights.DType == DType.F64)
                LionPiece<double>(weights, gradient, scale.Value, momentum, pieces[piece], step);
            else
                LionPiece<float>(weights, gradient, scale.Value, momentum, pieces[piece], step);
        });
    }

    private static void LionPiece<T>(
        Tensor weights, Tensor gradient, double scale, Tensor momentum, FlatRange piece, LionStep step)
        where T : unmanaged, INumber<T>
    {
        T* w = weights.Pointer<T>() + piece.Start, g = gradient.Pointer<T>() + piece.Start;
        T* m = momentum.Pointer<T>() + piece.Start;
        T keep = T.CreateChecked(1 - (step.LearningRate * step.WeightDecay)), rate = T.CreateChecked(step.LearningRate);
        T b1 = T.CreateChecked(step.Beta1), c1 = T.CreateChecked(1 - step.Beta1);
        T b2 = T.CreateChecked(step.Beta2), c2 = T.CreateChecked(1 - step.Beta2), s = T.CreateChecked(scale);
        Vector<T> up = new(rate), none = default;
        long i = 0;
        for (; i + Vector<T>.Count <= piece.Length; i += Vector<T>.Count)
        {
            var grad = Vector.Load(g + i) * s;
            var mi = Vector.Load(m + i);
            var direction = (mi * b1) + (grad * c1);
            var change = Vector.ConditionalSelect(
                Vector.GreaterThan(direction, none), up, Vector.ConditionalSelect(Vector.LessThan(direction, none), -up, none));
            Vector.Store((Vector.Load(w + i) * keep) - change, w + i);
            Vector.Store((mi * b2) + (grad * c2), m + i);
        }

        for (; i < piece.Length; i++)
        {
            T grad = g[i] * s;
            T direction = (m[i] * b1) + (grad * c1);
            T change = direction > T.Zero ? rate : direction < T.Zero ? -rate : T.Zero;
            w[i] = (w[i] * keep) - change;
            m[i] = (m[i] * b2) + (grad * c2);
        }
    }
}
