using System.Numerics;
using System.Reflection;
using DtoKd.Engine.Gpu;

namespace DtoKd.Gpu.Tests.Kernels;

/// <summary>
/// Every kernel there is, found by reflection: generic ones with every formula, fold, rule or element type of the engine that
/// their constraints admit. No kernel can be forgotten.
/// </summary>
internal static class KernelCatalog
{
    private static readonly Type[] _structs =
        [.. typeof(GpuDevice).Assembly.GetTypes().Where(type => type is { IsValueType: true, IsEnum: false })];

    // Of elements that no formula names: the sizes that are copied, and the numbers that are compared.
    private static readonly Type[] _elements = [typeof(byte), typeof(uint), typeof(ulong), typeof(float), typeof(double), typeof(int), typeof(long)];
    private static readonly Type[] _numbers = [typeof(float), typeof(double), typeof(int), typeof(long)];

    public static IReadOnlyDictionary<string, (Type Kernel, Type Args)> All { get; } = _structs
        .Where(type => KernelInterface(type) is not null)
        .SelectMany(Closed)
        .ToDictionary(Launcher.NameOf, kernel => (kernel, KernelInterface(kernel)!.GetGenericArguments()[0]));

    /// <summary>The largest group of a kernel, and the bytes of shared memory that it is launched with.</summary>
    public static (int Threads, int SharedBytes) LaunchOf(string kernel)
    {
        var (type, args) = All[kernel];
        var read = typeof(KernelCatalog).GetMethod(nameof(Launch), BindingFlags.Static | BindingFlags.NonPublic)!.MakeGenericMethod(type, args);
        return ((int, int))read.Invoke(null, null)!;
    }

    private static (int Threads, int SharedBytes) Launch<TKernel, TArgs>()
        where TKernel : struct, IKernel<TArgs>
        where TArgs : struct => (TKernel.MaxGroupSize, TKernel.SharedBytes);

    private static Type? KernelInterface(Type type) =>
        type.GetInterfaces().FirstOrDefault(one => one.IsGenericType && one.GetGenericTypeDefinition() == typeof(IKernel<>));

    /// <summary>A type with every choice of its generic arguments.</summary>
    private static IEnumerable<Type> Closed(Type type)
    {
        if (!type.IsGenericTypeDefinition)
            return [type];
        IEnumerable<Type[]> choices = [[]];
        foreach (var parameter in type.GetGenericArguments())
            choices = [.. choices.SelectMany(before => Choices(parameter).Select(choice => (Type[])[.. before, choice]))];
        return choices.Select(choice => type.MakeGenericType(choice));
    }

    private static IEnumerable<Type> Choices(Type parameter)
    {
        var constraints = parameter.GetGenericParameterConstraints().Where(one => one.IsInterface).ToArray();
        if (constraints.Length == 0)
            return _elements;
        if (constraints.Any(one => one.IsGenericType && one.GetGenericTypeDefinition() == typeof(INumber<>)))
            return _numbers;
        return _structs.Where(type => constraints.All(one => one.IsAssignableFrom(type))).SelectMany(Closed);
    }
}
