namespace DtoKd.Engine;

/// <summary>
/// What a branch of <see cref="Op.Residual"/> adds: a tensor, or a product that is not computed yet, so that the shortcut can be
/// added to its sums on their way to memory. Who makes one cannot forget the shortcut, because only the residual has it. What a
/// product reads has to live until the branch has returned: no scope inside the branch may own it.
/// </summary>
public sealed class Addend
{
    private readonly Func<Tensor?, Tensor> _addTo;

    private Addend(Func<Tensor?, Tensor> addTo) => _addTo = addTo;

    /// <summary>A tensor.</summary>
    /// <param name="value">Of the shortcut's shape.</param>
    public static implicit operator Addend(Tensor value) =>
        new(shortcut => shortcut is null ? value : Op.Add(shortcut, Op.BranchOf(value, shortcut.Shape)));

    /// <summary><see cref="Op.Linear"/>, x Wᵀ + b. Errors are found where the sum is computed.</summary>
    /// <param name="x">[..., in].</param>
    /// <param name="weight">[out, in].</param>
    /// <param name="bias">[out], or null for none.</param>
    /// <returns>[..., out], once computed.</returns>
    public static Addend Linear(Tensor x, Tensor weight, Tensor? bias = null) =>
        new(shortcut => Op.Linear(x, weight, bias, shortcut));

    /// <summary><see cref="Op.Mlp"/>, gelu(x W1ᵀ + b1) W2ᵀ + b2. Errors are found where the sum is computed.</summary>
    /// <param name="x">[..., in].</param>
    /// <param name="weight1">[hidden, in].</param>
    /// <param name="bias1">[hidden], or null for none.</param>
    /// <param name="weight2">[out, hidden].</param>
    /// <param name="bias2">[out], or null for none.</param>
    /// <returns>[..., out], once computed.</returns>
    public static Addend Mlp(Tensor x, Tensor weight1, Tensor? bias1, Tensor weight2, Tensor? bias2) =>
        new(shortcut => Op.Mlp(x, weight1, bias1, weight2, bias2, shortcut));

    /// <summary>The shortcut plus this; this alone if there is none.</summary>
    internal Tensor AddTo(Tensor? shortcut) => _addTo(shortcut);
}
