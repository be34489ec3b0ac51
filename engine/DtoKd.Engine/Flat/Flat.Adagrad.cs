using System.Numerics;

namespace DtoKd.Engine;

/// <summary>The numbers of one Adagrad step.</summary>
/// <param name="LearningRate">The step size.</param>
/// <param name="Epsilon">Added to the root of the sum of squares.</param>
/// <param name="WeightDecay">Added to the gradient, times the weight.</param>
public readonly record struct AdagradStep(double LearningRate, double Epsilon, double WeightDecay);

public static unsafe partial class Flat
{
    /// <summary>
    /// One step of Adagrad (Duchi, Hazan and Singer 2011, the diagonal form) over a range, in one pass: g += wd w; v += g^2;
    /// w -= lr g / (sqrt(v) + eps).
    /// </summary>
    /// <param name="weights">The parameters, flat.</param>
    /// <param name="gradient">Their gradient, flat.</param>
    /// <param name="scale">Multiplied with the gradient first: what is left of it after clipping.</param>
    /// <param name="squares">The sum of squares v, flat, zero at first.</param>
    /// <param name="range">What to update.</param>
    /// <param name="step">The numbers of this step.</param>
    /// <exception cref="ArgumentException">The buffers differ in length or type, or the range is not inside them.</exception>
    public static void Adagrad(Tensor weights, Tensor gradient, GradScale scale, Tensor squares, FlatRange range, AdagradStep step)
    {
        RequireUpdate(range, weights, gradient, squares);
        if (!weights.Device.IsHost)
        {
            Gpu.FlatGpu.Update(new Gpu.AdagradRule(step), scale, range, weights, gradient, squares);
            return;
        }

        var pieces = Pieces([range]);
        ForEach(weights, pieces.Count, piece =>
        {
            if (weights.DType == DType.F64)
                AdagradPiece<double>(weights, gradient, scale.Value, squares, pieces[piece], step);
            else
                AdagradPiece<float>(weights, gradient, scale.Value, squares, pieces[piece], step);
        });
    }

    private static void AdagradPiece<T>(
        Tensor weights, Tensor gradient, double scale, Tensor squares, FlatRange piece, AdagradStep step)
        where T : unmanaged, IRootFunctions<T>
    {
        T* w = weights.Pointer<T>() + piece.Start, g = gradient.Pointer<T>() + piece.Start;
        T* v = squares.Pointer<T>() + piece.Start;
        T rate = T.CreateChecked(step.LearningRate), eps = T.CreateChecked(step.Epsilon);
        T decay = T.CreateChecked(step.WeightDecay), s = T.CreateChecked(scale);
        var epsilon = new Vector<T>(eps);
        long i = 0;
        for (; i + Vector<T>.Count <= piece.Length; i += Vector<T>.Count)
        {
            var wi = Vector.Load(w + i);
            var grad = (Vector.Load(g + i) * s) + (wi * decay);
            var vi = Vector.Load(v + i) + (grad * grad);
            Vector.Store(vi, v + i);
            Vector.Store(wi - (grad * rate / (Vector.SquareRoot(vi) + epsilon)), w + i);
        }

        for (; i < piece.Length; i++)
        {
            T grad = (g[i] * s) + (w[i] * decay);
            v[i] += grad * grad;
            w[i] -= grad * rate / (T.Sqrt(v[i]) + eps);
        }
    }
}
