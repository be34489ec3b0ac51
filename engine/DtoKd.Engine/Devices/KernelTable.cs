using System.Reflection;

namespace DtoKd.Engine;

/// <summary>
/// The implementations of one operation's kernel interface. Doubles run the reference: plain loops that read like the formula,
/// which are the specification, the oracle of the tests and what gradient checks differentiate.
/// </summary>
internal sealed class KernelTable<TKernels>(TKernels reference, TKernels cpu)
    where TKernels : class
{
    // Made only when asked for, and for any interface: a planning device needs no kernel of its own in any operation.
    private readonly Lazy<TKernels> _none = new(() => DispatchProxy.Create<TKernels, NoKernels>());

    /// <summary>The implementation for a tensor's device and element type.</summary>
    public TKernels For(Tensor tensor) =>
        !tensor.Device.Computes ? _none.Value : tensor.DType == DType.F64 ? reference : cpu;
}

/// <summary>Kernels that do nothing, for a device that computes nothing.</summary>
internal class NoKernels : DispatchProxy
{
    protected override object? Invoke(MethodInfo? targetMethod, object?[]? args) => null;
}
