using System.Numerics;

namespace DtoKd.Engine;

/// <summary>The numbers of one step of Adam or AdamW.</summary>
/// <param name="LearningRate">The step size.</param>
/// <param name="Beta1">The decay of the first moment.</param>
/// <param name="Beta2">The decay of the second moment.</param>
/// <param name="Epsilon">Added to the root of the second moment.</param>
/// <param name="WeightDecay">The decay of the weights, multiplied by the learning rate: AdamW's.</param>
/// <param name="Step">The number of this step, from 1.</param>
/// <param name="Coupled">Added to the gradient, times the weight: Adam's decay.</param>
public readonly record struct AdamStep(
    double LearningRate, double Beta1, double Beta2, double Epsilon, double WeightDecay, long Step, double Coupled = 0);

/// <summary>The numbers of one step of stochastic gradient descent.</summary>
/// <param name="LearningRate">The step size.</param>
/// <param name="Momentum">How much of the last step's direction is kept.</param>
/// <param name="WeightDecay">Added to the gradient, times the weight.</param>
/// <param name="Nesterov">Whether the momentum is looked ahead.</param>
/// <param name="Share">How much of the gradient enters the momentum: 1 without dampening.</param>
public readonly record struct SgdStep(
    double LearningRate, double Momentum, double WeightDecay, bool Nesterov, double Share = 1);

public static unsafe partial class Flat
{
    /// <summary>
    /// One step of Adam (Kingma and Ba 2015, algorithm 1) or AdamW (Loshchilov and Hutter 2019, algorithm 2) over a range, in
    /// one pass: g += coupled w; w *= 1 - lr wd; m = b1 m + (1 - b1) g; v = b2 v + (1 - b2) g^2;
    /// w -= lr / (1 - b1^t) m / (sqrt(v / (1 - b2^t)) + eps), with the largest v so far in the place of v for AMSGrad (Reddi, Kale
    /// and Kumar 2018, algorithm 2).
    /// </summary>
    /// <param name="weights">The parameters, flat.</param>
    /// <param name="gradient">Their gradient, flat.</param>
    /// <param name="scale">Multiplied with the gradient first: what is left of it after clipping.</param>
    /// <param name="first">The first moment, flat.</param>
    /// <param name="second">The second moment, flat.</param>
    /// <param name="largest">The largest second moment so far, flat, zero at first; null unless for AMSGrad.</param>
    /// <param name="range">What to update.</param>
    /// <param name="step">The numbers of this step.</param>
    /// <exception cref="ArgumentException">The buffers differ in length or type, or the range is not inside them.</exception>
    public static void Adam(
        Tensor weights, Tensor gradient, GradScale scale, Tensor first, Tensor second, Tensor? largest, FlatRange range,
        AdamStep step)
    {
        RequireUpdate(range, weights, gradient, first, second, largest);
        if (!weights.Device.IsHost)
        {
            if (largest is null)
                Gpu.FlatGpu.Update(new Gpu.AdamRule(step), scale, range, weights, gradient, first, second);
            else
                Gpu.FlatGpu.Update(new Gpu.AmsGradRule(step), scale, range, weights, gradient, first, second, largest);
            return;
        }

        var pieces = Pieces([range]);
        ForEach(weights, pieces.Count, piece =>
        {
            if (weights.DType == DType.F64)
                AdamPiece<double>(weights, gradient, scale.Value, first, second, largest, pieces[piece], step);
            else
                AdamPiece<float>(weights, gradient, scale.Value, first, second, largest, pieces[piece], step);
        });
    }

    /// <summary>
    /// One step of gradient descent with momentum over a range, in one pass: g += wd w; b = mu b + share g;
    /// w -= lr b, or lr (g + mu b) with Nesterov's look ahead.
    /// </summary>
    /// <param name="weights">The parameters, flat.</param>
    /// <param name="gradient">Their gradient, flat.</param>
    /// <param name="scale">Multiplied with the gradient first: what is left of it after clipping.</param>
    /// <param name="velocity">The momentum buffer b, flat, zero at first.</param>
    /// <param name="range">What to update.</param>
    /// <param name="step">The numbers of this step.</param>
    /// <exception cref="ArgumentException">The buffers differ in length or type, or the range is not inside them.</exception>
    public static void Sgd(Tensor weights, Tensor gradient, GradScale scale, Tensor velocity, FlatRange range, SgdStep step)
    {
        RequireUpdate(range, weights, gradient, velocity);
        if (!weights.Device.IsHost)
        {
            Gpu.FlatGpu.Update(new Gpu.SgdRule(step), scale, range, weights, gradient, velocity);
            return;
        }

        var pieces = Pieces([range]);
        ForEach(weights, pieces.Count, piece =>
        {
            if (weights.DType == DType.F64)
                SgdPiece<double>(weights, gradient, scale.Value, velocity, pieces[piece], step);
            else
                SgdPiece<float>(weights, gradient, scale.Value, velocity, pieces[piece], step);
        });
    }

    private static void AdamPiece<T>(
        Tensor weights, Tensor gradient, double scale, Tensor first, Tensor second, Tensor? largest, FlatRange piece,
        AdamStep step)
        where T : unmanaged, IRootFunctions<T>, INumber<T>
    {
        T* w = weights.Pointer<T>() + piece.Start, g = gradient.Pointer<T>() + piece.Start;
        T* m = first.Pointer<T>() + piece.Start, v = second.Pointer<T>() + piece.Start;
        T* top = largest is null ? null : largest.Pointer<T>() + piece.Start;
        T keep = T.CreateChecked(1 - (step.LearningRate * step.WeightDecay));
        T b1 = T.CreateChecked(step.Beta1), c1 = T.CreateChecked(1 - step.Beta1);
        T b2 = T.CreateChecked(step.Beta2), c2 = T.CreateChecked(1 - step.Beta2);
        T size = T.CreateChecked(step.LearningRate / (1 - Math.Pow(step.Beta1, step.Step)));
        T root = T.CreateChecked(1 / Math.Sqrt(1 - Math.Pow(step.Beta2, step.Step)));
        T eps = T.CreateChecked(step.Epsilon), s = T.CreateChecked(scale), coupled = T.CreateChecked(step.Coupled);
        var epsilon = new Vector<T>(eps);
        long i = 0;
        for (; i + Vector<T>.Count <= piece.Length; i += Vector<T>.Count)
        {
            var before = Vector.Load(w + i);
            var grad = (Vector.Load(g + i) * s) + (before * coupled);
            var mi = (Vector.Load(m + i) * b1) + (grad * c1);
            var vi = (Vector.Load(v + i) * b2) + (grad * grad * c2);
            Vector.Store(mi, m + i);
            Vector.Store(vi, v + i);
            if (top != null)
            {
                vi = Vector.Max(vi, Vector.Load(top + i));
                Vector.Store(vi, top + i);
            }

            Vector.Store((before * keep) - (mi * size / ((Vector.SquareRoot(vi) * root) + epsilon)), w + i);
        }

        for (; i < piece.Length; i++)
        {
            T grad = (g[i] * s) + (w[i] * coupled);
            m[i] = (m[i] * b1) + (grad * c1);
            v[i] = (v[i] * b2) + (grad * grad * c2);
            T vi = v[i];
            if (top != null)
                top[i] = vi = T.Max(vi, top[i]);
            w[i] = (w[i] * keep) - (m[i] * size / ((T.Sqrt(vi) * root) + eps));
        }
    }

    private static void SgdPiece<T>(Tensor weights, Tensor gradient, double scale, Tensor velocity, FlatRange piece, SgdStep step)
        where T : unmanaged, IRootFunctions<T>
    {
        T* w = weights.Pointer<T>() + piece.Start, g = gradient.Pointer<T>() + piece.Start, b = velocity.Pointer<T>() + piece.Start;
        T rate = T.CreateChecked(step.LearningRate), mu = T.CreateChecked(step.Momentum);
        T decay = T.CreateChecked(step.WeightDecay), s = T.CreateChecked(scale), share = T.CreateChecked(step.Share);
        long i = 0;
        for (; i + Vector<T>.Count <= piece.Length; i += Vector<T>.Count)
        {
            var wi = Vector.Load(w + i);
            var grad = (Vector.Load(g + i) * s) + (wi * decay);
            var bi = (Vector.Load(b + i) * mu) + (grad * share);
            Vector.Store(bi, b + i);
            Vector.Store(wi - ((step.Nesterov ? grad + (bi * mu) : bi) * rate), w + i);
        }

        for (; i < piece.Length; i++)
        {
            T grad = (g[i] * s) + (w[i] * decay);
            b[i] = (b[i] * mu) + (grad * share);
            w[i] -= (step.Nesterov ? grad + (b[i] * mu) : b[i]) * rate;
        }
    }
}
