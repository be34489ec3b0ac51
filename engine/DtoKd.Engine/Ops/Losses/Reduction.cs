namespace DtoKd.Engine;

/// <summary>How a loss combines the values of its samples or elements.</summary>
public enum Reduction
{
    /// <summary>Not at all: one value per sample or element.</summary>
    None,

    /// <summary>Their mean; NaN if there are none.</summary>
    Mean,

    /// <summary>Their sum.</summary>
    Sum,
}

public static partial class Op
{
    /// <summary>The values as they are, their sum, or their sum divided by <paramref name="count"/>.</summary>
    private static Tensor Reduce(Tensor values, Reduction reduction, double count) => reduction switch
    {
        Reduction.None => values,
        Reduction.Sum => Sum(values),
        Reduction.Mean => Affine(Sum(values), 1 / count),
        _ => throw new ArgumentException($"unknown reduction {reduction}"),
    };

    /// <summary>As above, where the mean divides by the sum of the samples' weights.</summary>
    private static Tensor Reduce(Tensor values, Reduction reduction, Tensor weights) =>
        reduction == Reduction.Mean ? Div(Sum(values), Sum(weights)) : Reduce(values, reduction, 1);
}
