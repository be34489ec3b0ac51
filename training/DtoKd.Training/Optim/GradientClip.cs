using DtoKd.Engine;

namespace DtoKd.Training.Optim;

/// <summary>Clipping by the global norm (Pascanu et al. 2013), or each element by itself.</summary>
public static class GradientClip
{
    /// <summary>What to multiply a gradient with so that its norm is at most <paramref name="maximum"/>.</summary>
    /// <param name="squaredNorm">The square of its norm.</param>
    /// <param name="maximum">The largest norm; null for no clipping.</param>
    public static double Scale(double squaredNorm, double? maximum) =>
        maximum is { } limit ? UpdateScale.Of(squaredNorm, limit) : 1;

    /// <summary>Brings every element of a gradient into -limit .. limit, which may change its direction.</summary>
    /// <param name="gradient">Flat; changed in place.</param>
    /// <param name="limit">The largest magnitude, positive.</param>
    public static void Values(Tensor gradient, double limit)
    {
        if (!(limit > 0))
            throw new ArgumentOutOfRangeException(nameof(limit), limit, "gradients are clipped to a positive magnitude");
        Flat.Clamp(gradient, limit);
    }
}
