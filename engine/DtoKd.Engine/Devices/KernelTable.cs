using System.Reflection;

namespace DtoKd.Engine;

/// <summary>
/// The implementations of one operation's kernel interface. Doubles run the reference: plain loops that read like the formula,
/// which are the specification, the oracle of the tests and what gradient checks differentiate.
/// </summary>
/// <param name="reference">Kernels of doubles in the host's memory.</param>
/// <param name="cpu">Kernels of floats in the host's memory.</param>
/// <param name="gpu">Kernels of floats on a GPU; null while there are none.</param>
internal sealed class KernelTable<TKernels>(TKernels reference, TKernels cpu, TKernels? gpu = null)
    where TKernels : class
{
    // Made only when asked for, and for any interface: a planning device needs no kernel of its own in any operation.
    private readonly Lazy<TKernels> _none = new(() => DispatchProxy.Create<TKernels, NoKernels>());

    /// <summary>The implementation for a tensor's device and element type.</summary>
    /// <exception cref="NotSupportedException">The device has no kernels of this operation, or none for doubles.</exception>
    public TKernels For(Tensor tensor)
    {
        if (!tensor.Device.IsHost)
            return gpu is not null && tensor.DType != DType.F64 ? gpu : throw Missing(tensor);
        return !tensor.Device.Computes ? _none.Value : tensor.DType == DType.F64 ? reference : cpu;
    }

    private static NotSupportedException Missing(Tensor tensor) => new(
        $"{tensor.Step?.Running ?? tensor.Origin} has no kernel for {tensor.DType} tensors on {tensor.Device.Name}"
        + (tensor.DType == DType.F64 ? ": double precision runs on the CPU" : ""));
}

/// <summary>Kernels that do nothing, for a device that computes nothing.</summary>
internal class NoKernels : DispatchProxy
{
    protected override object? Invoke(MethodInfo? targetMethod, object?[]? args) => null;
}
