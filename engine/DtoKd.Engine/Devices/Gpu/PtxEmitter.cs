using System.Reflection;
using ILGPU;
using ILGPU.Backends.PTX;
using ILGPU.IR;
using ILGPU.IR.Intrinsics;
using ILGPU.IR.Types;
using ILGPU.IR.Values;
using static ILGPU.Backends.RegisterAllocator<ILGPU.Backends.PTX.PTXRegisterKind>;

namespace DtoKd.Engine.Gpu;

/// <summary>
/// The PTX instruction that a method of <see cref="Ptx"/> stands for. Its operands are the result, if any, and the parameters
/// in order: numbers as registers, structs of numbers as vectors of registers, ref parameters as addresses.
/// </summary>
/// <param name="instruction">With all of its suffixes: <c>fma.rn.f32</c>.</param>
[AttributeUsage(AttributeTargets.Method)]
internal sealed class PtxAttribute(string instruction) : Attribute
{
    public string Instruction => instruction;

    /// <summary>What follows the operands: <c>16</c> for a size in bytes.</summary>
    public string? Last { get; init; }
}

/// <summary>Marks an address of shared memory; others are of global memory.</summary>
[AttributeUsage(AttributeTargets.Parameter)]
internal sealed class SharedAttribute : Attribute;

/// <summary>Marks a number that is part of the instruction: the argument must be a constant.</summary>
[AttributeUsage(AttributeTargets.Parameter)]
internal sealed class ConstantAttribute : Attribute;

/// <summary>Marks a number of bytes, a constant, that the instruction adds to the address before it.</summary>
[AttributeUsage(AttributeTargets.Parameter)]
internal sealed class OffsetAttribute : Attribute;

/// <summary>Writes the instructions of <see cref="Ptx"/> into ILGPU's code.</summary>
internal static class PtxEmitter
{
    /// <summary>Makes every method of <see cref="Ptx"/> with a <see cref="PtxAttribute"/> known to a context's compiler.</summary>
    public static void Register(Context.Builder builder)
    {
        var handler = typeof(PtxEmitter).GetMethod(nameof(Emit), BindingFlags.Static | BindingFlags.NonPublic)!;
        var known = builder.GetIntrinsicManager();
        foreach (var method in typeof(Ptx).GetMethods(BindingFlags.Static | BindingFlags.Public))
        {
            if (method.GetCustomAttribute<PtxAttribute>() is not null)
                known.RegisterMethod(method, new PTXIntrinsic(handler, IntrinsicImplementationMode.GenerateCode));
        }
    }

    private static void Emit(PTXBackend backend, PTXCodeGenerator code, Value value)
    {
        var method = (MethodInfo)((MethodCall)value).Target.Source;
        var ptx = method.GetCustomAttribute<PtxAttribute>()!;
        var parameters = method.GetParameters();
        var operands = new PrimitiveRegister[parameters.Length][];
        for (int i = 0; i < operands.Length; i++)
        {
            operands[i] = IsConstant(parameters[i]) ? []
                : parameters[i].ParameterType.IsByRef ? [Address(code, value[i], Has<SharedAttribute>(parameters[i]))]
                : [.. Primitives(code.Load(value[i])).Select(code.EnsureHardwareRegister)];
        }

        PrimitiveRegister[] result = method.ReturnType == typeof(void) ? [] : [.. Primitives(code.Allocate(value))];
        // The emitter is a struct that keeps count of its arguments: it must not be copied.
        var command = code.BeginCommand(ptx.Instruction);
        if (result.Length > 0)
            Append(ref command, result, IsVector(method.ReturnType));
        for (int i = 0; i < operands.Length; i++)
        {
            if (parameters[i].ParameterType.IsByRef)
            {
                int offset = i + 1 < operands.Length && Has<OffsetAttribute>(parameters[i + 1]) ? Constant(method, value[i + 1]) : 0;
                command.AppendArgumentValue((HardwareRegister)operands[i][0], offset);
            }
            else if (Has<ConstantAttribute>(parameters[i]))
            {
                command.AppendConstant((long)Constant(method, value[i]));
            }
            else if (!IsConstant(parameters[i]))
            {
                Append(ref command, operands[i], IsVector(parameters[i].ParameterType));
            }
        }

        if (ptx.Last is not null)
            command.AppendRawValue(ptx.Last);
        command.Dispose();
    }

    private static bool Has<TAttribute>(ParameterInfo parameter)
        where TAttribute : Attribute => parameter.GetCustomAttribute<TAttribute>() is not null;

    private static bool IsConstant(ParameterInfo parameter) => Has<ConstantAttribute>(parameter) || Has<OffsetAttribute>(parameter);


    private static int Constant(MethodInfo method, Value value) => value.Resolve() is PrimitiveValue constant
        ? constant.Int32Value
        : throw new NotSupportedException($"{method.Name}: an argument that has to be a constant is computed");

    private static bool IsVector(Type type) => type is { IsPrimitive: false, IsEnum: false };

    private static void Append(ref PTXCodeGenerator.CommandEmitter command, PrimitiveRegister[] registers, bool isVector)
    {
        if (isVector)
            command.AppendVectorArgument(registers);
        else
            command.AppendArgument(registers[0]);
    }

    private static IEnumerable<PrimitiveRegister> Primitives(Register register) =>
        register is PrimitiveRegister primitive ? [primitive] : ((CompoundRegister)register).Children.SelectMany(Primitives);

    // Addresses reach an intrinsic as generic ones; where it is seen what they were made of, that is taken.
    private static HardwareRegister Address(PTXCodeGenerator code, Value value, bool isShared)
    {
        var space = isShared ? MemoryAddressSpace.Shared : MemoryAddressSpace.Global;
        value = value.Resolve();
        if (value.Type is AddressSpaceType own && own.AddressSpace == space)
            return code.EnsureHardwareRegister(code.LoadPrimitive(value));
        if (value is AddressSpaceCast cast && cast.SourceType is AddressSpaceType before && before.AddressSpace == space)
            return code.EnsureHardwareRegister(code.LoadPrimitive(cast.Value));
        var generic = code.EnsureHardwareRegister(code.LoadPrimitive(value));
        var address = code.AllocateRegister(generic.Description);
        using var command = code.BeginCommand(isShared ? "cvta.to.shared.u64" : "cvta.to.global.u64");
        command.AppendArgument(address);
        command.AppendArgument(generic);
        return address;
    }
}
