namespace DtoKd.Engine;

/// <summary>
/// The implementations of one operation's kernel interface. Doubles run the reference: plain loops that read like the formula,
/// which are the specification, the oracle of the tests and what gradient checks differentiate.
/// </summary>
internal sealed class KernelTable<TKernels>(TKernels reference, TKernels cpu)
    where TKernels : class
{
    /// <summary>The implementation for a tensor's device and element type.</summary>
    public TKernels For(Tensor tensor) => tensor.DType == DType.F64 ? reference : cpu;
}
