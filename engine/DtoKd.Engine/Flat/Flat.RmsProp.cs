using System.Numerics;

namespace DtoKd.Engine;

/// <summary>The numbers of one RMSprop step.</summary>
/// <param name="LearningRate">The step size.</param>
/// <param name="Alpha">The decay of the mean of squares.</param>
/// <param name="Momentum">How much of the last step's direction is kept.</param>
/// <param name="Epsilon">Added to the root of the mean of squares.</param>
/// <param name="WeightDecay">Added to the gradient, times the weight.</param>
public readonly record struct RmsPropStep(double LearningRate, double Alpha, double Momentum, double Epsilon, double WeightDecay);

public static unsafe partial class Flat
{
    /// <summary>
    /// One step of RMSprop (Hinton's lecture 6e, 2012) with momentum over a range, in one pass: g += wd w;
    /// v = alpha v + (1 - alpha) g^2; b = mu b + g / (sqrt(v) + eps); w -= lr b.
    /// </summary>
    /// <param name="weights">The parameters, flat.</param>
    /// <param name="gradient">Their gradient, flat.</param>
    /// <param name="scale">Multiplied with the gradient first: what is left of it after clipping.</param>
    /// <param name="second">The mean of squares v, flat, zero at first.</param>
    /// <param name="velocity">The momentum buffer b, flat, zero at first.</param>
    /// <param name="range">What to update.</param>
    /// <param name="step">The numbers of this step.</param>
    /// <exception cref="ArgumentException">The buffers differ in length or type, or the range is not inside them.</exception>
    public static void RmsProp(
        Tensor weights, Tensor gradient, GradScale scale, Tensor second, Tensor velocity, FlatRange range, RmsPropStep step)
    {
        RequireUpdate(range, weights, gradient, second, velocity);
        if (!weights.Device.IsHost)
        {
            Gpu.FlatGpu.Update(new Gpu.RmsPropRule(step), scale, range, weights, gradient, second, velocity);
            return;
        }

        var pieces = Pieces([range]);
        ForEach(weights, pieces.Count, piece =>
        {
            if (weights.DType == DType.F64)
                RmsPropPiece<double>(weights, gradient, scale.Value, second, velocity, pieces[piece], step);
            else
                RmsPropPiece<float>(weights, gradient, scale.Value, second, velocity, pieces[piece], step);
        });
    }

    private static void RmsPropPiece<T>(
        Tensor weights, Tensor gradient, double scale, Tensor second, Tensor velocity, FlatRange piece, RmsPropStep step)
        where T : unmanaged, IRootFunctions<T>
    {
        T* w = weights.Pointer<T>() + piece.Start, g = gradient.Pointer<T>() + piece.Start;
        T* v = second.Pointer<T>() + piece.Start, b = velocity.Pointer<T>() + piece.Start;
        T rate = T.CreateChecked(step.LearningRate), mu = T.CreateChecked(step.Momentum), eps = T.CreateChecked(step.Epsilon);
        T alpha = T.CreateChecked(step.Alpha), rest = T.CreateChecked(1 - step.Alpha);
        T decay = T.CreateChecked(step.WeightDecay), s = T.CreateChecked(scale);
        var epsilon = new Vector<T>(eps);
        long i = 0;
        for (; i + Vector<T>.Count <= piece.Length; i += Vector<T>.Count)
        {
            var wi = Vector.Load(w + i);
            var grad = (Vector.Load(g + i) * s) + (wi * decay);
            var vi = (Vector.Load(v + i) * alpha) + (grad * grad * rest);
            var bi = (Vector.Load(b + i) * mu) + (grad / (Vector.SquareRoot(vi) + epsilon));
            Vector.Store(vi, v + i);
            Vector.Store(bi, b + i);
            Vector.Store(wi - (bi * rate), w + i);
        }

        for (; i < piece.Length; i++)
        {
            T grad = (g[i] * s) + (w[i] * decay);
            v[i] = (v[i] * alpha) + (grad * grad * rest);
            b[i] = (b[i] * mu) + (grad / (T.Sqrt(v[i]) + eps));
            w[i] -= b[i] * rate;
        }
    }
}
