namespace DtoKd.Engine;

public sealed unsafe partial class Tensor
{
    /// <summary><see cref="Op.Add"/>.</summary>
    public static Tensor operator +(Tensor a, Tensor b) => Op.Add(a, b);

    /// <summary><see cref="Op.Sub"/>.</summary>
    public static Tensor operator -(Tensor a, Tensor b) => Op.Sub(a, b);

    /// <summary><see cref="Op.Mul"/>.</summary>
    public static Tensor operator *(Tensor a, Tensor b) => Op.Mul(a, b);

    /// <summary><see cref="Op.Div"/>.</summary>
    public static Tensor operator /(Tensor a, Tensor b) => Op.Div(a, b);

    /// <summary>Every element times a number.</summary>
    public static Tensor operator *(Tensor a, double factor) => Op.Affine(a, factor);

    /// <summary>A number added to every element.</summary>
    public static Tensor operator +(Tensor a, double summand) => Op.Affine(a, 1, summand);
}
