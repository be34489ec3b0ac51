using System.Runtime.CompilerServices;
using System.Text.RegularExpressions;
using ILGPU;
using ILGPU.Backends;
using ILGPU.Backends.EntryPoints;
using ILGPU.Backends.PTX;
using ILGPU.Runtime;
using ILGPU.Runtime.Cuda;

namespace DtoKd.Engine.Gpu;

/// <summary>
/// What every kernel is launched through: it compiles a kernel at its first launch, counts, and tells a profile.
/// </summary>
internal sealed partial class Launcher(Accelerator accelerator)
{
    private static int _kernels;

    private object?[] _loaded = new object?[64];
    private string? _broken;

    /// <summary>Kernels launched so far.</summary>
    public long Launches { get; private set; }

    /// <summary>Where the time of each kernel goes, for which the host then waits; null for not measuring.</summary>
    public OpProfile? Profile { get; set; }

    /// <summary>Launches a kernel over a number of groups.</summary>
    public void Launch<TKernel, TArgs>(long groups, int groupSize, in TArgs args)
        where TKernel : struct, IKernel<TArgs>
        where TArgs : struct
    {
        var kernel = Loaded<TKernel, TArgs>();
        Launches++;
        var config = new KernelConfig(checked((int)groups), groupSize, kernel.Shared);
        if (Profile is not { } profile)
        {
            kernel.Start(accelerator.DefaultStream, config, args);
            return;
        }

        accelerator.DefaultStream.Synchronize();
        string op = profile.EnterKernel(kernel.Name);
        kernel.Start(accelerator.DefaultStream, config, args);
        accelerator.DefaultStream.Synchronize();
        profile.Leave(op);
    }

    /// <summary>The name of a kernel in profiles and messages: <c>MapFlat&lt;GeluFormula&gt;</c>.</summary>
    public static string NameOf(Type kernel)
    {
        if (!kernel.IsGenericType)
            return kernel.Name;
        string name = kernel.Name[..kernel.Name.IndexOf('`', StringComparison.Ordinal)];
        return $"{name}<{string.Join(", ", kernel.GetGenericArguments().Select(NameOf))}>";
    }

    /// <summary>Compiles a kernel.</summary>
    /// <param name="backend">The compiler.</param>
    /// <param name="kernel">A struct that implements <see cref="IKernel{TArgs}"/>.</param>
    /// <param name="args">Its arguments' type.</param>
    public static CompiledKernel Compile(Backend backend, Type kernel, Type args)
    {
        var entry = typeof(KernelEntry).GetMethod(nameof(KernelEntry.Run))!.MakeGenericMethod(kernel, args);
        int largest = (int)typeof(Launcher).GetMethod(nameof(GroupSizeOf), System.Reflection.BindingFlags.Static | System.Reflection.BindingFlags.NonPublic)!
            .MakeGenericMethod(kernel, args).Invoke(null, null)!;
        var compiled = backend.Compile(
            EntryPointDescription.FromExplicitlyGroupedKernel(entry), new KernelSpecialization(largest, null));
        // ILGPU calls branches uniform that depend on the thread: a promise that the driver may rely on.
        if (compiled is PTXCompiledKernel ptx)
            TextOf(ptx) = UniformBranch().Replace(TextOf(ptx), "$1bra");
        return compiled;
    }

    [UnsafeAccessor(UnsafeAccessorKind.Field, Name = "<PTXAssembly>k__BackingField")]
    private static extern ref string TextOf(PTXCompiledKernel kernel);

    [GeneratedRegex(@"(@!?%p\d+\s+)bra\.uni\b")]
    private static partial Regex UniformBranch();

    private static int GroupSizeOf<TKernel, TArgs>()
        where TKernel : struct, IKernel<TArgs>
        where TArgs : struct => TKernel.MaxGroupSize;

    private LaunchedKernel<TArgs> Loaded<TKernel, TArgs>()
        where TKernel : struct, IKernel<TArgs>
        where TArgs : struct
    {
        int index = KernelIndex<TKernel>.Value;
        if (index >= _loaded.Length)
            Array.Resize(ref _loaded, 2 * index);
        return (LaunchedKernel<TArgs>)(_loaded[index] ??= Load<TKernel, TArgs>());
    }

    private LaunchedKernel<TArgs> Load<TKernel, TArgs>()
        where TKernel : struct, IKernel<TArgs>
        where TArgs : struct
    {
        string name = NameOf(typeof(TKernel));
        // After one failure ILGPU's context fails on every later kernel with an error that says nothing of the first.
        if (_broken is not null)
            throw new InvalidOperationException($"kernel {name} is not compiled, because an earlier one failed: {_broken}");
        try
        {
            var kernel = accelerator.LoadKernel(Compile(accelerator.GetBackend(), typeof(TKernel), typeof(TArgs)));
            if (TKernel.SharedBytes > 0 && kernel is CudaKernel cuda)
                CudaLibrary.AllowShared(cuda.FunctionPtr, TKernel.SharedBytes);
            var shared = TKernel.SharedBytes > 0 ? SharedMemoryConfig.RequestDynamic<byte>(TKernel.SharedBytes) : SharedMemoryConfig.Empty;
            return new LaunchedKernel<TArgs>(
                name, shared, kernel.CreateLauncherDelegate<Action<AcceleratorStream, KernelConfig, TArgs>>());
        }
        catch (Exception exception)
        {
            var cause = exception.GetBaseException();
            _broken = $"{name}: {cause.Message}";
            throw new InvalidOperationException($"kernel {name} cannot be compiled for {accelerator.Name}: {cause.Message}", exception);
        }
    }

    /// <summary>The number of a kernel type, the same on all devices.</summary>
    private static class KernelIndex<TKernel>
    {
        public static readonly int Value = Interlocked.Increment(ref _kernels) - 1;
    }

    private sealed record LaunchedKernel<TArgs>(
        string Name, SharedMemoryConfig Shared, Action<AcceleratorStream, KernelConfig, TArgs> Start)
        where TArgs : struct;
}
