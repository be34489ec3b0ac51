namespace DtoKd.Engine;

public static partial class Op
{
    /// <summary>-x.</summary>
    /// <param name="x">A float tensor of any shape.</param>
    public static Tensor Neg(Tensor x) => Affine(x, -1);
}
